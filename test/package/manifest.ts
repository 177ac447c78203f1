/** What package.json promises, held against what is there: what publishing linters look at. */

import { readFileSync, statSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { commandOf, ROOT, RUNTIMES } from "../support/runtimes.ts";
import { type Entry, execute, type Packed } from "./packed.ts";

export function manifest(packed: () => Packed): void {
  const entries = (): [string, Entry][] =>
    Object.entries(packed().manifest.exports).filter((entry): entry is [string, Entry] => typeof entry[1] !== "string");
  const targets = (): string[] => Object.values(packed().manifest.exports).flatMap((entry) => Object.values(entry));

  describe("its manifest", () => {
    it("has two entries, and itself", () => {
      expect(Object.keys(packed().manifest.exports)).toEqual([".", "./qt", "./package.json"]);
      expect(packed().manifest.exports["./package.json"]).toBe("./package.json");
    });

    it("names types first, because the first condition that fits wins, and Bun before Node, because Bun says that it is one", () => {
      for (const [name, entry] of entries()) expect(Object.keys(entry), name).toEqual(["types", "bun", "deno", "node", "default"]);
    });

    it("exports nothing that is not there", () => {
      for (const [name, entry] of entries()) {
        for (const [condition, target] of Object.entries(entry)) {
          expect(target, name).toMatch(condition === "types" ? /^\.\/dist\/types\/.*\.d\.ts$/ : /^\.\/dist\/\w+\.js$/);
          expect(packed().files, `${name}, ${condition}`).toContain(target.slice(2));
        }
      }
    });

    it("gives no runtime TypeScript, which Deno and Node refuse in node_modules", () => {
      expect(targets().filter((target) => target.endsWith(".ts") && !target.endsWith(".d.ts"))).toEqual([]);
      expect(packed().files.filter((file) => file.endsWith(".ts") && !file.endsWith(".d.ts"))).toEqual([]);
    });

    it("has exports only, no field that older tools would prefer to them", () => {
      for (const field of ["main", "module", "browser", "types", "typings", "directories", "private"]) {
        expect(packed().manifest, field).not.toHaveProperty(field);
      }
      expect(packed().manifest).toMatchObject({ type: "module", sideEffects: false, engines: { node: ">=20" } });
    });

    it("depends on nothing, and runs nothing at its installation", () => {
      for (const kind of ["dependencies", "optionalDependencies", "peerDependencies", "bundleDependencies"]) {
        expect(packed().manifest, kind).not.toHaveProperty(kind);
      }
      for (const name of ["preinstall", "install", "postinstall", "prepare"]) expect(packed().manifest.scripts).not.toHaveProperty(name);
    });

    it("has a command that starts on every Unix", () => {
      for (const [name, target] of Object.entries(packed().manifest.bin)) {
        expect(name).toBe("qshm");
        expect(target).not.toMatch(/^\.?\//); // npm would correct that, and say so
        const text = packed().read(target);
        expect(text).toMatch(/^#!\/bin\/sh\n/);
        expect(text).not.toContain("\r");
        expect(statSync(`${packed().root}/${target}`).mode & 0o111).toBe(0o111);
      }
    });

    it("has its license beside it", () => {
      expect(packed().manifest.license).toBe("MIT");
      expect(packed().read("LICENSE")).toMatch(/^MIT License/);
    });

    it("has modules that name what they import with an extension, and import nothing from outside", () => {
      const { files, read } = packed();
      for (const file of files.filter((path) => /\.(js|d\.ts)$/.test(path))) {
        const found = read(file).matchAll(/^(?:import|export)\b[^"';]*?\bfrom\s+["']([^"']+)["']|\bimport\(["']([^"']+)["']\)/gm);
        for (const [, from, dynamic] of found) {
          const specifier = (from ?? dynamic)!;
          if (specifier.startsWith("node:") && file.endsWith(".js")) continue;
          expect(specifier, file).toMatch(/^(\.\.?\/)+[\w/]+\.js$/);
          const path = new URL(specifier, `file:///${file}`).pathname.slice(1);
          expect(files, file).toContain(file.endsWith(".d.ts") ? path.replace(/\.js$/, ".d.ts") : path);
        }
      }
    });

    it("says of the package what JSR is told too", () => {
      const jsr = JSON.parse(readFileSync(`${ROOT}deno.json`, "utf8"));
      const { version, description, license } = packed().manifest;
      expect({ version, description, license }).toEqual({ version: jsr.version, description: jsr.description, license: jsr.license });
      expect(Object.keys(packed().manifest.exports).filter((name) => name !== "./package.json")).toEqual(Object.keys(jsr.exports));
    });

    it("has types for each entry, for both ways of resolving modules, and for Deno", async () => {
      const { folder } = packed();
      writeFileSync(
        `${folder}/typed.ts`,
        `import { AlreadyRunningError, type InstanceInfo, SharedMemory, SingleInstance } from "qshm";
        import * as qt from "qshm/qt";
        const guard: SingleInstance = await SingleInstance.acquire("typed", { data: { a: [1, "b", null] } });
        const error: unknown = await SingleInstance.acquire("typed").catch((reason: unknown) => reason);
        const info: InstanceInfo | undefined = error instanceof AlreadyRunningError ? error.primary : undefined;
        export const pid: number | undefined = info?.pid;
        export const bytes: Uint8Array<ArrayBuffer> = SharedMemory.open("typed", 1).data;
        export const memory: typeof qt.QSharedMemory = qt.QSharedMemory;
        // @ts-expect-error: it is a boolean
        export const wrong: number = guard.recovered;
        // @ts-expect-error: a function is no payload
        export const refused = SingleInstance.tryAcquire("typed", { data: () => 1 });
        // @ts-expect-error: there is no such export
        export const absent = qt.NoSuchThing;`,
      );
      const options = ["--noEmit", "--strict", "--target", "esnext", "--lib", "esnext,dom", "--types", ""];
      for (const [module, resolution] of [["nodenext", "nodenext"], ["esnext", "bundler"]]) {
        const resolved = ["--module", module!, "--moduleResolution", resolution!];
        await execute(`${ROOT}node_modules/.bin/tsc`, [...options, ...resolved, "typed.ts"], { cwd: folder });
      }
      if (RUNTIMES.includes("deno")) {
        await execute(commandOf("deno", "").command, ["check", "typed.ts"], { cwd: folder, env: packed().only("deno") });
      }
    });

    it.each(RUNTIMES)("is right about side effects: importing changes nothing in %s", async (runtime) => {
      const { folder, only } = packed();
      writeFileSync(
        `${folder}/import_only.js`,
        `const look = () => [...Reflect.ownKeys(globalThis), ...["exit", "beforeExit", "SIGTERM", "uncaughtException", "warning"].map((name) =>
          globalThis.process.listenerCount(name))].map(String).join();
        const before = look();
        const loaded = [await import("qshm"), await import("qshm/qt")];
        console.log(loaded.every((module) => Object.keys(module).length > 0), look() === before);`,
      );
      const { command, args } = commandOf(runtime, "import_only.js");
      const refusing = { deno: ["run", "--quiet", "--no-prompt", "import_only.js"], bun: args, node: ["--permission", "--allow-fs-read=*", ...args] };
      const { stdout, stderr } = await execute(command, [...refusing[runtime]], { cwd: folder, env: only(runtime) });
      expect({ stdout, stderr }).toEqual({ stdout: "true true\n", stderr: "" });
    });

    it.each(RUNTIMES)("exports classes under their own names in %s, and all runtimes the same", async (runtime) => {
      const { folder, only } = packed();
      writeFileSync(
        `${folder}/names.js`,
        `const all = { ...await import("qshm"), ...await import("qshm/qt") };
        const classes = Object.entries(all).filter(([, it]) => typeof it === "function" && /^class\\b/.test(String(it)));
        console.log(classes.length > 10, classes.filter(([name, it]) => name !== it.name).map(([name]) => name).join(), Object.keys(all).sort().join());`,
      );
      const { command, args } = commandOf(runtime, "names.js");
      const { stdout } = await execute(command, [...args], { cwd: folder, env: only(runtime) });
      const names = Object.keys({ ...await import("../../mod.ts"), ...await import("../../src/qt/mod.ts") });
      expect(stdout).toBe(`true  ${names.sort().join()}\n`);
    });
  });
}
