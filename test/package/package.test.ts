/**
 * The package as users get it: packed, installed into an empty folder, and used there without a compiler.
 */

import { execFile, execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { testDirectory } from "../support/directory.ts";
import { commandOf, ROOT, RUNTIMES } from "../support/runtimes.ts";

const run = promisify(execFile);
const home = mkdtempSync(`${tmpdir()}/qshm-package-`);
const folder = `${home}/empty`;
const programs = `${home}/bin`;
let files: string[] = [];

/** All that is on PATH: a shell, what the launcher calls, and one runtime. */
function onlyThese(runtime: string): NodeJS.ProcessEnv {
  const path = `${programs}/${runtime}`;
  return { PATH: path, HOME: home, QSHM_RUNTIME: runtime };
}

beforeAll(async () => {
  mkdirSync(folder);
  await run("npm", ["pack", "--silent", "--pack-destination", home], { cwd: ROOT });
  const archive = readdirSync(home).find((name) => name.endsWith(".tgz"))!;
  writeFileSync(`${folder}/package.json`, `{ "type": "module", "private": true }`);
  await run("npm", ["install", "--silent", "--offline", "--no-audit", "--no-fund", `${home}/${archive}`], { cwd: folder });
  const listing = execFileSync("find", [".", "-type", "f"], { cwd: `${folder}/node_modules/qshm`, encoding: "utf8" });
  files = listing.trim().split("\n").map((path) => path.slice(2)).sort();
  for (const runtime of RUNTIMES) {
    mkdirSync(`${programs}/${runtime}`, { recursive: true });
    symlinkSync(commandOf(runtime, "").command, `${programs}/${runtime}/${runtime}`);
    for (const tool of ["sh", "readlink", "echo"]) {
      const found = execFileSync("sh", ["-c", `command -v -- /bin/${tool} || command -v /usr/bin/${tool}`], { encoding: "utf8" });
      symlinkSync(found.trim(), `${programs}/${runtime}/${tool}`);
    }
  }
});

afterAll(() => rmSync(home, { recursive: true, force: true }));

describe("the package", () => {
  it("holds the module, its types, the command, this platform's library, and nothing else", () => {
    const others = files.filter((path) => !/^dist\/types\/(mod|(src|ffi)\/[\w/]+)\.d\.ts$/.test(path));
    expect(others).toEqual([
      "LICENSE",
      "README.md",
      "dist/launch.sh",
      `dist/lib/linux-${process.arch}.so`,
      "dist/main.js",
      "dist/mod.js",
      "package.json",
    ]);
    expect(files).toContain("dist/types/mod.d.ts");
    expect(files.some((path) => path.includes("/cli/"))).toBe(false);
  });

  it("runs no script at its installation", () => {
    const { scripts } = JSON.parse(readFileSync(`${ROOT}package.json`, "utf8")) as { scripts: Record<string, string> };
    for (const name of ["preinstall", "install", "postinstall", "prepare"]) expect(scripts).not.toHaveProperty(name);
  });

  it("has types, for both ways of resolving modules", async () => {
    writeFileSync(
      `${folder}/typed.ts`,
      `import { AlreadyRunningError, type InstanceInfo, SharedMemory, SingleInstance } from "qshm";
      const guard: SingleInstance = await SingleInstance.acquire("typed", { data: { a: [1, "b", null] } });
      const error: unknown = await SingleInstance.acquire("typed").catch((reason: unknown) => reason);
      const info: InstanceInfo | undefined = error instanceof AlreadyRunningError ? error.primary : undefined;
      export const pid: number | undefined = info?.pid;
      export const bytes: Uint8Array<ArrayBuffer> = SharedMemory.open("typed", 1).data;
      // @ts-expect-error: it is a boolean
      export const wrong: number = guard.recovered;
      // @ts-expect-error: a function is no payload
      export const refused = SingleInstance.tryAcquire("typed", { data: () => 1 });`,
    );
    const options = ["--noEmit", "--strict", "--target", "esnext", "--lib", "esnext,dom", "--types", ""];
    for (const [module, resolution] of [["nodenext", "nodenext"], ["esnext", "bundler"]]) {
      await run(`${ROOT}node_modules/.bin/tsc`, [...options, "--module", module!, "--moduleResolution", resolution!, "typed.ts"], {
        cwd: folder,
      });
    }
  });

  describe.each(RUNTIMES)("in %s, with nothing else on PATH", (runtime) => {
    it("can be imported, and guards", async () => {
      using directory = testDirectory();
      writeFileSync(
        `${folder}/program.js`,
        `import { AlreadyRunningError, SingleInstance } from "qshm";
        using guard = await SingleInstance.acquire("package");
        const error = await SingleInstance.acquire("package").catch((reason) => reason);
        console.log(error instanceof AlreadyRunningError, error.constructor.name, error.primary.args[0]);`,
      );
      const { command, args } = commandOf(runtime, `${folder}/program.js`, ["argument"]);
      const { stdout } = await run(command, [...args], {
        cwd: folder,
        env: { ...onlyThese(runtime), QSHM_DIRECTORY: directory.path },
      });
      expect(stdout).toBe("true AlreadyRunningError argument\n");
    });

    it("has the command, through its launcher", async () => {
      using directory = testDirectory();
      const env = { ...onlyThese(runtime), QSHM_DIRECTORY: directory.path };
      const { stdout } = await run(`${folder}/node_modules/.bin/qshm`, ["run", "package", "--", "echo", "hello"], { cwd: "/", env });
      expect(stdout).toBe("hello\n");
      await expect(run(`${folder}/node_modules/.bin/qshm`, ["status", "package"], { cwd: "/", env })).rejects.toMatchObject({ code: 1 });
    });
  });
});
