/** README's recipes for bundlers, and what `deno compile` takes along. */

import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { embeddedFiles } from "../support/deno_compile.ts";
import { testDirectory } from "../support/directory.ts";
import { commandOf, ROOT, type RuntimeName, RUNTIMES } from "../support/runtimes.ts";
import { installPackage, programOf } from "../support/shipped.ts";

const run = promisify(execFile);
const place = mkdtempSync(`${tmpdir()}/qshm-bundlers-`);
const esbuild = `${ROOT}node_modules/.bin/esbuild`;
const bun = commandOf("bun", "").command;
const project = `${place}/project`;
let last = 0;

/** The program's two forms: with the package, and with a checkout. */
const PROGRAMS = ["package.ts", "checkout.ts"];

beforeAll(() => {
  mkdirSync(project);
  installPackage(project);
  writeFileSync(`${project}/package.ts`, programOf("qshm"));
  writeFileSync(`${project}/checkout.ts`, programOf(`${ROOT}mod.ts`));
});

afterAll(() => rmSync(place, { recursive: true, force: true }));

/** Makes a bundle as a README recipe says, and moves it away from all else; gives its directory. */
async function bundle(command: string, ...args: string[]): Promise<string> {
  const out = `${place}/out-${last++}`;
  await run(command, [...args, `--outdir=${out}`], { cwd: project });
  const moved = `${out}-moved`;
  renameSync(out, moved);
  return moved;
}

async function start(runtime: RuntimeName, program: string): Promise<{ libraries?: string[]; name?: string; error?: string }> {
  using directory = testDirectory();
  const { command, args } = commandOf(runtime, program);
  const { stdout } = await run(command, [...args], { cwd: "/", env: { ...process.env, QSHM_DIRECTORY: directory.path } });
  return JSON.parse(stdout);
}

interface Recipe {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly runtimes: readonly RuntimeName[];
}

const RECIPES: readonly Recipe[] = [
  { name: "bun build --target=bun", command: bun, args: ["build", "--target=bun"], runtimes: ["bun"] },
  { name: "bun build --target=node", command: bun, args: ["build", "--target=node"], runtimes: ["node", "deno", "bun"] },
  {
    name: "esbuild --bundle --platform=node --format=esm --loader:.so=file",
    command: esbuild,
    args: ["--bundle", "--platform=node", "--format=esm", "--loader:.so=file"],
    runtimes: ["node", "deno", "bun"],
  },
];

describe.each(RECIPES)("$name", ({ command, args, runtimes }) => {
  it.each(PROGRAMS)("puts the library beside the bundle, which finds it wherever it is: %s", async (program) => {
    const out = await bundle(command, ...args, program);
    const libraries = readdirSync(out).filter((name) => name.endsWith(".so"));
    const mine = libraries.find((name) => name.startsWith(`linux-${process.arch}-`))!;
    for (const runtime of runtimes.filter((name) => RUNTIMES.includes(name))) {
      const { libraries, error } = await start(runtime, `${out}/${program.replace(".ts", ".js")}`);
      expect(error, runtime).toBe(undefined);
      expect(libraries, runtime).toEqual([`${out}/${mine}`]);
    }
  });
});

describe("a bundler", () => {
  it("that is to leave packages alone does", async () => {
    const out = `${project}/out`;
    await run(esbuild, ["--bundle", "--packages=external", "--format=esm", "--platform=node", `--outdir=${out}`, "package.ts"], { cwd: project });
    expect((await start("node", `${out}/package.js`)).libraries).toEqual([`${project}/node_modules/qshm/dist/lib/linux-${process.arch}.so`]);
  });

  it("that makes something else than an ES module makes what says so", async () => {
    const args = ["--bundle", "--platform=node", "--format=cjs", "--log-level=error", "--loader:.so=file", "--out-extension:.js=.cjs"];
    const out = await bundle(esbuild, ...args, "package.ts");
    const { name, error } = await start("node", `${out}/package.cjs`);
    expect(name).toBe("LibraryError");
    expect(error).toContain("bundle with --format=esm, or set QSHM_LIBRARY");
  });
});

describe.skipIf(!RUNTIMES.includes("deno"))("deno compile", () => {
  const embedded = (...args: string[]) => embeddedFiles(project, `${place}/deno`, ...args);

  it("takes the package along, library and all", async () => {
    writeFileSync(`${project}/package.json`, `{ "type": "module", "dependencies": { "qshm": "*" } }`);
    const size = Number(/node_modules\/\* \(([\d.]+)KB\)/.exec(await embedded("package.ts"))![1]);
    const { stdout } = await run("du", ["-b", "-s", "--apparent-size", `${project}/node_modules/qshm/dist/lib`]);
    expect(size * 1024).toBeGreaterThan(Number(stdout.split("\t")[0]) - 4096); // the directory's own
  });

  it("takes the libraries of a checkout along with --include", async () => {
    expect(await embedded("checkout.ts")).not.toContain("lib/*");
    expect(await embedded("--include", `${ROOT}ffi/lib`, "checkout.ts")).toMatch(/\blib\/\* \([\d.]+KB\b/);
  });
});
