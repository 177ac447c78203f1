/**
 * Runs every suite in every runtime, and in Deno with every permission denied but the library's. With QSHM_CASE only that
 * case of each suite.
 */

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { testDirectory } from "../support/directory.ts";
import { type Command, commandOf, RUNTIMES, sandboxedDeno } from "../support/runtimes.ts";
import { suites } from "./suites.ts";

const run = promisify(execFile);
const HOST = new URL("./host.ts", import.meta.url).pathname;
const ONLY = process.env.QSHM_CASE === undefined ? [] : [process.env.QSHM_CASE];

interface Host {
  readonly name: string;
  readonly sandbox: boolean;
  command(suite: string): Command;
}

const hosts: Host[] = RUNTIMES.map((name) => ({
  name,
  sandbox: false,
  command: (suite) => commandOf(name, HOST, ["all", suite, ...ONLY]),
}));
if (RUNTIMES.includes("deno")) {
  hosts.push({ name: "deno, all denied", sandbox: true, command: (suite) => sandboxedDeno(HOST, ["sandbox", suite, ...ONLY]) });
}

async function runSuite(host: Host, suite: string): Promise<{ errors: Map<string, string | null>; leftovers: string[] }> {
  using directory = testDirectory();
  const { command, args } = host.command(suite);
  const { stdout } = await run(command, [...args], {
    env: { ...process.env, QSHM_DIRECTORY: directory.path, TMPDIR: directory.path }, // Qt's files are there, too
    maxBuffer: 1 << 26,
  });
  const lines = stdout.split("\n").filter((line) => line.startsWith('{"suite"')).map((line) => JSON.parse(line));
  return { errors: new Map(lines.map(({ name, error }) => [name, error])), leftovers: directory.entries() };
}

for (const host of hosts) {
  describe.concurrent(host.name, () => {
    for (const { name: suite, cases } of suites) {
      const chosen = cases.filter(({ needs }) => !host.sandbox || needs === undefined);
      if (chosen.length === 0) continue;
      describe(suite, () => {
        let results: ReturnType<typeof runSuite> | undefined;
        for (const { name } of chosen) {
          it(name, async () => {
            const { errors } = await (results ??= runSuite(host, suite));
            expect(errors.has(name), "the case ran").toBe(true);
            expect(errors.get(name)).toBe(null);
          });
        }
        it("leaves nothing behind", async () => {
          const { leftovers } = await (results ??= runSuite(host, suite));
          expect(leftovers).toEqual([]);
        });
      });
    }
  });
}
