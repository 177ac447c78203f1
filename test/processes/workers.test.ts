/** Workers: each makes its own attachments, in a table that all threads of the process share. */

import { describe, expect, it } from "vitest";
import { testDirectory } from "../support/directory.ts";
import { Peer } from "../support/peer.ts";
import { Program } from "../support/program.ts";
import { RUNTIMES } from "../support/runtimes.ts";

const PROGRAM = new URL("./workers/program.ts", import.meta.url).pathname;

/**
 * Node 26.10 can abort when a Worker ends while V8 compiles calls into a library for it on another thread (in
 * FastApiCallNode, in 1 of 60 runs of these scenarios). Compiling on the Worker's own thread avoids it; README says so.
 */
const FLAGS = { deno: [], bun: [], node: ["--no-concurrent-recompilation"] } as const;

describe("workers", { timeout: 600_000 }, () => {
  for (const runtime of RUNTIMES) {
    for (const kind of runtime === "node" ? ["thread"] as const : ["thread", "web"] as const) {
      const name = kind === "thread" ? "node:worker_threads" : "Web Workers";
      it(`attachments in ${runtime}'s ${name} are their own when they exchange, lock, and are terminated`, async () => {
        using directory = testDirectory();
        await using program = new Program(runtime, PROGRAM, { directory: directory.path, args: [kind], flags: FLAGS[runtime] });
        const lines: string[] = [];
        for (let line = ""; line !== "end";) lines.push(line = await program.line());
        const expected = [
          "exchange",
          "exclude",
          "waitForMain",
          "terminate",
          ...(kind === "thread" ? ["exit", "leave"] : []),
        ];
        expect(lines).toEqual([...expected.map((scenario) => `ok ${scenario}`), "end"]);
        expect(await program.exited(), program.stderr).toBe(0);
        // What a terminated Worker left ended with the process.
        await using peer = await Peer.start(runtime, { directory: directory.path });
        await peer.run(({ SharedMemory }) => {
          for (const key of ["exchange", "exclude", "wait", "terminate", "exit", "leave"]) {
            SharedMemory.create(key, 1).detach();
          }
        });
        expect(directory.entries()).toEqual([]);
      });
    }
  }
});
