/** The package in use: installed by npm, Bun and Deno, each as its users do it, where there is neither make nor a compiler. */

import { mkdirSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { testDirectory } from "../support/directory.ts";
import { commandOf, type RuntimeName, RUNTIMES } from "../support/runtimes.ts";
import { execute, type Packed } from "./packed.ts";
import { type Registry, serveArchive } from "./registry.ts";

const PROGRAM = `
import { AlreadyRunningError, SharedMemory, SingleInstance } from "qshm";
import "qshm/qt";
using guard = await SingleInstance.acquire("package");
const error = await SingleInstance.acquire("package").catch((reason) => reason);
using memory = SharedMemory.create("package", 8);
using same = SharedMemory.attach("package");
memory.write(Uint8Array.of(42));
console.log(error instanceof AlreadyRunningError, error.primary.args[0], same.read(0, 1)[0], same.data[0]);
`;

/** How a user installs it, and what runs a program then. */
const INSTALLERS: Readonly<Record<RuntimeName, { readonly install: readonly string[]; readonly library: string }>> = {
  node: { install: ["npm", "install", "--no-audit", "--no-fund", "qshm"], library: "node_modules/qshm/dist/lib/" },
  bun: { install: ["bun", "add", "qshm"], library: "node_modules/qshm/dist/lib/" },
  deno: { install: ["deno", "add", "npm:qshm"], library: "deno/npm/" }, // in Deno's own cache
};

export function installed(packed: () => Packed): void {
  describe("installed from a registry", () => {
    let registry: Registry;
    beforeAll(async () => void (registry = await serveArchive(packed().archive, packed().manifest)));
    afterAll(async () => await registry[Symbol.asyncDispose]());

    describe.each(RUNTIMES)("for %s, with nothing else on PATH", (runtime) => {
      const folder = (): string => `${packed().home}/${runtime}`;
      const environment = (npm?: "npm"): NodeJS.ProcessEnv => ({
        ...packed().only(runtime, npm),
        HOME: folder(),
        DENO_DIR: `${folder()}/deno`,
        BUN_INSTALL_CACHE_DIR: `${folder()}/bun`,
        npm_config_cache: `${folder()}/npm`,
        npm_config_registry: registry.url,
        NPM_CONFIG_REGISTRY: registry.url, // Deno's spelling
      });

      beforeAll(async () => {
        mkdirSync(folder());
        const [command, ...args] = INSTALLERS[runtime].install;
        const env = environment(runtime === "node" ? "npm" : undefined);
        await expect(execute("/bin/sh", ["-c", "command -v make || command -v cc || command -v gcc"], { env })).rejects.toMatchObject({ code: 127 });
        await execute(`${env.PATH}/${command}`, args, { cwd: folder(), env });
        writeFileSync(`${folder()}/program.mjs`, PROGRAM);
      });

      it("can be imported, guards, and shares memory", async () => {
        using directory = testDirectory();
        const { command, args } = commandOf(runtime, "program.mjs", ["argument"]);
        const env = { ...environment(), QSHM_DIRECTORY: directory.path };
        const { stdout, stderr } = await execute(command, [...args], { cwd: folder(), env });
        expect({ stdout, stderr }).toEqual({ stdout: "true argument 42 42\n", stderr: "" });
      });

      if (runtime === "deno") {
        it("needs no grant but the library's folder for what copies", async () => {
          using directory = testDirectory();
          writeFileSync(`${folder()}/copies.mjs`, PROGRAM.replace(", same.data[0]", ""));
          const env = { ...environment(), QSHM_DIRECTORY: directory.path };
          const grant = `--allow-ffi=${folder()}/${INSTALLERS.deno.library}`;
          const args = ["run", "--quiet", "--no-prompt", grant, "--allow-env=QSHM_DIRECTORY", "copies.mjs", "argument"];
          const { stdout } = await execute(commandOf("deno", "").command, args, { cwd: folder(), env });
          expect(stdout).toBe("true argument 42\n");
        });
      }

      // `deno add` makes no node_modules, so there is no launcher; npm's is used, as `deno install` makes the same.
      it("has the command, through its launcher", async () => {
        using directory = testDirectory();
        const env = { ...environment(), QSHM_DIRECTORY: directory.path };
        const command = `${runtime === "deno" ? packed().folder : folder()}/node_modules/.bin/qshm`;
        const { stdout } = await execute(command, ["run", "package", "--", "echo", "hello"], { cwd: "/", env });
        expect(stdout).toBe("hello\n");
        await expect(execute(command, ["status", "package"], { cwd: "/", env })).rejects.toMatchObject({ code: 1 });
      });
    });
  });

  describe("installed from its archive", () => {
    it.each(RUNTIMES.filter((name) => name !== "node"))("by npm, it runs in %s", async (runtime) => {
      using directory = testDirectory();
      const { folder, only } = packed();
      writeFileSync(`${folder}/program.mjs`, PROGRAM);
      const { command, args } = commandOf(runtime, "program.mjs", ["argument"]);
      const { stdout } = await execute(command, [...args], { cwd: folder, env: { ...only(runtime), QSHM_DIRECTORY: directory.path } });
      expect(stdout).toBe("true argument 42 42\n");
    });

    it.skipIf(!RUNTIMES.includes("bun"))("by Bun, it runs there", async () => {
      using directory = testDirectory();
      const { archive, home, only } = packed();
      const folder = `${home}/archive-bun`;
      mkdirSync(folder);
      const env = { ...only("bun"), QSHM_DIRECTORY: directory.path };
      await execute(`${env.PATH}/bun`, ["add", archive], { cwd: folder, env });
      writeFileSync(`${folder}/program.mjs`, PROGRAM);
      const { stdout } = await execute(`${env.PATH}/bun`, ["program.mjs", "argument"], { cwd: folder, env });
      expect(stdout).toBe("true argument 42 42\n");
    });

    // Deno 2.9 makes of a dependency "file:qshm.tgz" a link to the archive itself.
    it.skipIf(!RUNTIMES.includes("deno"))("by Deno, it runs there once it is unpacked", async () => {
      using directory = testDirectory();
      const { archive, home, only } = packed();
      const folder = `${home}/archive-deno`;
      mkdirSync(folder);
      await execute("tar", ["-xzf", archive, "-C", folder]);
      writeFileSync(`${folder}/package.json`, `{ "type": "module", "dependencies": { "qshm": "file:./package" } }`);
      const env = { ...only("deno"), DENO_DIR: `${folder}/deno`, QSHM_DIRECTORY: directory.path };
      await execute(`${env.PATH}/deno`, ["install", "--quiet"], { cwd: folder, env });
      writeFileSync(`${folder}/program.mjs`, PROGRAM);
      const { command, args } = commandOf("deno", "program.mjs", ["argument"]);
      const { stdout } = await execute(command, [...args], { cwd: folder, env });
      expect(stdout).toBe("true argument 42 42\n");
    });
  });
}
