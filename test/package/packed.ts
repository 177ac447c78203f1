/** The package, packed once and installed by npm into an empty folder, for all tests of what is in it. */

import { execFile, execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { promisify } from "node:util";
import { commandOf, ROOT, type RuntimeName, RUNTIMES } from "../support/runtimes.ts";
import { SKIPS } from "../support/skips.ts";

export const execute = promisify(execFile);

/** The architectures whose libraries can be built here. */
export const ARCHS: readonly string[] = SKIPS.crossCompiler === undefined ? ["x64", "arm64"] : [process.arch];

/** Where an exports map leads. */
export interface Entry {
  readonly types: string;
  readonly bun: string;
  readonly deno: string;
  readonly node: string;
  readonly default: string;
}

export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  readonly bin: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, Entry | string>>;
  readonly scripts: Readonly<Record<string, string>>;
  readonly [field: string]: unknown;
}

export interface Packed extends Disposable {
  /** A folder for tests, where nothing is but what they put there. */
  readonly home: string;
  readonly archive: string;
  /** Where a user installed the package. */
  readonly folder: string;
  /** What was installed. */
  readonly root: string;
  readonly files: readonly string[];
  readonly manifest: Manifest;
  read(file: string): string;
  /** The environment of a user who has a shell, one runtime and, if asked for, npm; no compiler, no make. */
  only(runtime: RuntimeName, npm?: "npm"): NodeJS.ProcessEnv;
}

/** A program's path, links followed. */
function find(tool: string): string {
  return realpathSync(execFileSync("sh", ["-c", `command -v -- ${tool}`], { encoding: "utf8" }).trim());
}

export async function pack(): Promise<Packed> {
  const home = mkdtempSync(`${tmpdir()}/qshm-package-`);
  const folder = `${home}/empty`;
  const root = `${folder}/node_modules/qshm`;
  const env = { ...process.env, ARCHS: ARCHS.join(" ") };
  // One after the other: all write to `dist/`.
  await execute("flock", [`${ROOT}c/Makefile`, "npm", "pack", "--silent", "--pack-destination", home], { cwd: ROOT, env }).catch(({ stdout, stderr }) => {
    throw new Error(`The package cannot be made: ${stdout}${stderr}`);
  });
  const archive = `${home}/${readdirSync(home).find((name) => name.endsWith(".tgz"))!}`;

  const links: Record<string, string> = {};
  for (const tool of ["sh", "env", "readlink", "echo"]) links[tool] = find(`/bin/${tool}`);
  for (const runtime of RUNTIMES) {
    const programs = { ...links, [runtime]: commandOf(runtime, "").command };
    for (const [place, all] of [[runtime, programs], [`${runtime}-npm`, { node: process.execPath, npm: find("npm"), ...programs }]] as const) {
      mkdirSync(`${home}/bin/${place}`, { recursive: true });
      for (const [name, target] of Object.entries(all)) symlinkSync(target, `${home}/bin/${place}/${name}`);
    }
  }

  mkdirSync(folder);
  writeFileSync(`${folder}/package.json`, `{ "type": "module", "private": true }`);
  await execute("npm", ["install", "--silent", "--offline", "--no-audit", "--no-fund", archive], { cwd: folder });
  return {
    home,
    archive,
    folder,
    root,
    files: execFileSync("find", [".", "-type", "f"], { cwd: root, encoding: "utf8" }).trim().split("\n").map((path) => path.slice(2)).sort(),
    manifest: JSON.parse(readFileSync(`${root}/package.json`, "utf8")),
    read: (file) => readFileSync(`${root}/${file}`, "utf8"),
    only: (runtime, npm) => ({ PATH: `${home}/bin/${npm ? `${runtime}-npm` : runtime}`, HOME: home, QSHM_RUNTIME: runtime, NO_COLOR: "1" }),
    [Symbol.dispose]: () => rmSync(home, { recursive: true, force: true }),
  };
}
