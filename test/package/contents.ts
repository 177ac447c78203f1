/** What is in the package, and what is not. */

import { createHash } from "node:crypto";
import { cpSync, readFileSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { describe, expect, it } from "vitest";
import { ROOT } from "../support/runtimes.ts";
import { because, SKIPS } from "../support/skips.ts";
import { ARCHS, execute, type Packed } from "./packed.ts";

/** `e_machine` of an ELF file. */
const MACHINES: Readonly<Record<string, number>> = { x64: 62, arm64: 183 };

export function contents(packed: () => Packed): void {
  const bytes = (file: string): Buffer => readFileSync(`${packed().root}/${file}`);

  describe("its contents", () => {
    it("are the modules, their types, the command, the libraries, and nothing else", () => {
      const { files } = packed();
      expect(files.filter((path) => !path.startsWith("dist/types/"))).toEqual([
        "LICENSE",
        "README.md",
        "dist/launch.sh",
        "dist/lib/SHA256SUMS",
        ...ARCHS.map((arch) => `dist/lib/linux-${arch}.so`).sort(),
        "dist/main.js",
        "dist/mod.js",
        "dist/qt.js",
        "dist/shared.js",
        "package.json",
      ]);
    });

    it.skipIf(SKIPS.crossCompiler)(because("have a library for each architecture", SKIPS.crossCompiler), () => {
      expect(packed().files.filter((path) => path.endsWith(".so"))).toEqual(["dist/lib/linux-arm64.so", "dist/lib/linux-x64.so"]);
    });

    it("have libraries for the machines that their names say", () => {
      for (const arch of ARCHS) expect(bytes(`dist/lib/linux-${arch}.so`).readUInt16LE(18), arch).toBe(MACHINES[arch]);
    });

    it("have the checksums of exactly these libraries, as sha256sum wants them", () => {
      const lines = ARCHS.map((arch) => {
        const hash = createHash("sha256").update(bytes(`dist/lib/linux-${arch}.so`)).digest("hex");
        return `${hash}  linux-${arch}.so\n`;
      });
      expect(packed().read("dist/lib/SHA256SUMS")).toBe(lines.join(""));
    });

    it("have libraries that verify: built again, from a copy of the sources that stands elsewhere, they have the same bytes", async () => {
      const { home, root } = packed();
      cpSync(`${ROOT}c`, `${home}/elsewhere/c`, { recursive: true, filter: (path) => path !== `${ROOT}c/build` });
      const knobs = [`ARCHS=${ARCHS.join(" ")}`, `OUT=${root}/dist/lib`];
      const { stdout } = await execute("make", ["-s", "-j2", "-C", `${home}/elsewhere/c`, "verify", ...knobs]);
      expect(stdout.replaceAll(/ [0-9a-f]{64}$/gm, "")).toBe(ARCHS.map((arch) => `linux-${arch}.so: the same bytes,\n`).join(""));
    });

    it("have the declarations that the entries lead to, and no other", () => {
      const { files, manifest, read } = packed();
      const reached = new Set<string>();
      const visit = (file: string): void => {
        if (reached.has(file)) return;
        reached.add(file);
        for (const [, specifier] of read(file).matchAll(/["'](\.{1,2}\/[^"']+)\.js["']/g)) {
          visit(new URL(`${specifier}.d.ts`, `file:///${file}`).pathname.slice(1));
        }
      };
      for (const entry of Object.values(manifest.exports)) if (typeof entry !== "string") visit(entry.types.slice(2));
      expect(files.filter((path) => path.startsWith("dist/types/"))).toEqual([...reached].sort());
    });

    it("name no path of the machine that built them", () => {
      const { files, home } = packed();
      for (const file of files) {
        for (const path of [ROOT, home, `${homedir()}/`]) expect(bytes(file).includes(path), `${file} names ${path}`).toBe(false);
      }
    });

    it("are packed in less than 300 KiB", () => expect(statSync(packed().archive).size).toBeLessThan(300 * 1024));

    it("have each module of the sources once, so that there is one registry of attachments", () => {
      const texts = packed().files.filter((file) => /^dist\/(mod|qt|shared)\.js$/.test(file)).map(packed().read);
      const modules = texts.flatMap((text) => [...text.matchAll(/^\/\/ ((?:src|ffi)\/\S+\.ts)$/gm)].map(([, path]) => path!));
      expect(modules).toContain("src/attachment.ts");
      expect(modules).toContain("ffi/load.ts");
      expect(modules.filter((path, at) => modules.indexOf(path) !== at)).toEqual([]);
    });
  });
}
