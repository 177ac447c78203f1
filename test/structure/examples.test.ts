/** Every TypeScript block of README.md and of a doc comment is run in every runtime: blocks found = blocks run. */

import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { promisify } from "node:util";
import { afterAll, describe, expect, it } from "vitest";
import { testDirectory } from "../support/directory.ts";
import { commandOf, ROOT, RUNTIMES } from "../support/runtimes.ts";
import { files, read } from "./sources.ts";

const execute = promisify(execFile);
const folder = mkdtempSync(`${tmpdir()}/qshm-examples-`);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Example {
  readonly where: string;
  readonly path: string;
}

/** The blocks of a file; those of doc comments without their stars. */
function blocksOf(path: string): Example[] {
  const text = path.endsWith(".md") ? read(path) : read(path).replaceAll(/^ *\* ?/gm, "");
  return [...text.matchAll(/^```ts\n([\s\S]*?)^```/gm)].map(([, code], i) => {
    const where = `${path} #${i + 1}`;
    const file = `${folder}/${where.replaceAll(/[^\w#]+/g, "_").replace("#", "")}.ts`;
    const runnable = code!.replaceAll('from "qshm"', `from "${ROOT}mod.ts"`).replaceAll('from "qshm/qt"', `from "${ROOT}src/qt/mod.ts"`);
    writeFileSync(file, `${runnable}\nexport {};\n`);
    return { where, path: file };
  });
}

const sources = files(/^(README\.md|mod\.ts|src\/.*\.ts)$/);
const examples = sources.flatMap(blocksOf);
const found = sources.map((path) => read(path).match(/^[ *]*```ts$/gm)?.length ?? 0).reduce((a, b) => a + b, 0);

describe("examples", () => {
  it("are all taken out of their files", () => {
    expect(examples.length).toBe(found);
    expect(examples.some(({ where }) => where.startsWith("README.md"))).toBe(true);
  });

  it("stand at every public class and function", () => {
    for (const path of sources.filter((path) => path.startsWith("src/"))) {
      const exported = [...read(path).matchAll(/(\/\*\*(?:(?!\*\/)[\s\S])*\*\/)\n(?:export function (\w+)|  static (\w+)\()/g)];
      for (const [, comment, name, method] of exported) {
        const isPublic = new RegExp(`\\b${name ?? "SharedMemory"}\\b`).test(read("mod.ts"));
        if (isPublic) expect(comment, `${path}: ${name ?? method}`).toContain("@example");
      }
    }
  });

  for (const runtime of RUNTIMES) {
    describe(runtime, () => {
      const run = async (): Promise<Map<string, string | null>> => {
        using directory = testDirectory();
        const program = new URL("./examples.ts", import.meta.url).pathname;
        const { command, args } = commandOf(runtime, program, examples.map(({ path }) => path));
        const { stdout } = await execute(command, [...args], {
          env: { ...process.env, QSHM_DIRECTORY: directory.path },
        });
        const lines = stdout.split("\n").filter((line) => line.startsWith('{"path"')).map((line) => JSON.parse(line));
        return new Map(lines.map(({ path, error }) => [path, error]));
      };
      let results: ReturnType<typeof run> | undefined;
      for (const { where, path } of examples) {
        it(where, async () => {
          const errors = await (results ??= run());
          expect(errors.has(path), "the example ran").toBe(true);
          expect(errors.get(path)).toBe(null);
        });
      }
    });
  }
});
