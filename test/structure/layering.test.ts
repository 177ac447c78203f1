/** The rules of the code's shape: who may import whom, and where a runtime or an operating system may be named. */

import { describe, expect, it } from "vitest";
import { files, imports, read } from "./sources.ts";

const ADAPTERS = ["ffi/deno.ts", "ffi/bun.ts", "ffi/node.ts"];

/** A file's source without comments. */
const code = (path: string): string => read(path).replaceAll(/\/\*[\s\S]*?\*\/|(?<![:"'`])\/\/.*$/gm, "");

describe("layering", () => {
  it("src/ imports from ffi/ only load.ts and native.ts", () => {
    for (const path of files(/^src\/.*\.ts$/).filter((path) => !path.startsWith("src/cli/"))) {
      for (const imported of imports(path)) {
        expect(imported, `${path} imports ${imported}`).toMatch(/^src\/|^ffi\/(load|native)\.ts$/);
      }
    }
  });

  it("mod.ts only re-exports from src/", () => {
    expect(imports("mod.ts").length).toBeGreaterThan(5);
    for (const imported of imports("mod.ts")) expect(imported).toMatch(/^src\//);
    expect(code("mod.ts").replaceAll(/export (type )?\{[^}]*\} from "[^"]+";/g, "").trim()).toBe("");
  });

  it("the command imports what everybody may import, what runs a program, and node's own modules", () => {
    expect(files(/^src\/cli\/.*\.ts$/).length).toBeGreaterThan(5);
    for (const path of files(/^src\/cli\/.*\.ts$/)) {
      for (const imported of imports(path)) {
        expect(imported, `${path} imports ${imported}`).toMatch(/^mod\.ts$|^src\/command\.ts$|^src\/cli\/|^node:/);
      }
    }
    for (const path of files(/^(mod\.ts|src\/(?!cli\/).*\.ts)$/)) expect(imports(path).join()).not.toContain("src/cli/");
  });

  it("QDataStream imports nothing outside its folder", () => {
    expect(files(/^src\/data_stream\/.*\.ts$/).length).toBeGreaterThan(10);
    for (const path of files(/^src\/data_stream\/.*\.ts$/)) {
      for (const imported of imports(path)) expect(imported, `${path} imports ${imported}`).toMatch(/^src\/data_stream\//);
      expect(code(path), path).not.toMatch(/\b(import|require|getBuiltinModule)\(/);
    }
  });

  it("an adapter imports types, process and its own parts, and only load.ts imports adapters", () => {
    for (const path of ADAPTERS) {
      for (const imported of imports(path)) expect(imported).toMatch(/^ffi\/(native|symbols|process|node_compiler|deno_end|deno_cache)\.ts$/);
    }
    for (const path of files(/^(src|ffi)\/.*\.ts$|^mod\.ts$/)) {
      if (imports(path).some((imported) => ADAPTERS.includes(imported))) expect(path).toBe("ffi/load.ts");
    }
  });

  it("no runtime is named in src/", () => {
    for (const path of files(/^src\/.*\.ts$/)) expect(code(path), path).not.toMatch(/\b(Deno|Bun)\b|node:ffi|bun:ffi/);
  });

  it("an adapter stays about 100 lines", () => {
    for (const path of ADAPTERS) expect(read(path).split("\n").length, path).toBeLessThan(130);
  });

  it("types are not switched off", () => {
    for (const path of files(/^(src|ffi)\/.*\.ts$|^mod\.ts$/)) {
      expect(code(path), path).not.toMatch(/:\s*any\b|as any\b|<any>/);
      expect(read(path), path).not.toMatch(/@ts-(ignore|nocheck|expect-error)|deno-lint-ignore|eslint-disable/);
    }
  });

  it("an operating system is asked for only in os_*.c", () => {
    for (const path of files(/^c\/.*\.[ch]$/).filter((path) => !/\/os_\w+\.c$/.test(path))) {
      expect(read(path), path).not.toMatch(/#\s*if.*(__linux__|__APPLE__|_WIN32|__FreeBSD__)/);
    }
  });

  it("C files open with what they own, and public names have a prefix", () => {
    for (const path of files(/^c\/(src\/.*|qshm)\.[ch]$/)) expect(read(path), path).toMatch(/^\/\*\n \* \S+ - /);
  });
});
