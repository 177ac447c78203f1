/** The first one leaves while others start: each of them is answered, by it or by a later one, or runs itself. */

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { describe, expect, it } from "vitest";
import { testDirectory } from "../support/directory.ts";
import { Peer } from "../support/peer.ts";
import { printedRandom } from "../support/random.ts";
import { RUNTIMES } from "../support/runtimes.ts";
import { stopped } from "../support/stopped.ts";
import { judge, type Order } from "./messages/handover.ts";

const HANDOVER = new URL("./messages/handover.ts", import.meta.url).href;
const FAULTS = new URL("../support/faults.ts", import.meta.url).href;
const ROUNDS = 500;
const PEERS = 2 * RUNTIMES.length;

describe("hand-over", () => {
  const promise = "each that starts while the one that runs leaves is answered, or runs itself";
  it(`${promise}, ${ROUNDS} times`, { timeout: 600_000 }, async () => {
    using directory = testDirectory();
    const place = mkdtempSync(`${tmpdir()}/qshm-journal-`);
    const random = printedRandom("hand-over");
    const peers: Peer[] = [];
    try {
      for (let i = 0; i < PEERS; i++) {
        peers.push(await Peer.start(RUNTIMES[i % RUNTIMES.length]!, { directory: directory.path }));
      }
      const journal = `${place}/journal`;
      // Each is to run so often; who has done so early leaves the rest to the others.
      await Promise.all(peers.map((peer) => {
        const order: Order = { name: "program", journal, seed: random.below(0x7fffffff), reigns: Math.ceil(ROUNDS / PEERS) };
        return peer.call(HANDOVER, "startOver", order);
      }));
      const { violations, reigns, handled } = judge(readFileSync(journal, "utf8"));
      console.log(`hand-over: ${reigns} ran, ${handled} were answered`);
      expect(violations).toEqual([]);
      expect(reigns).toBeGreaterThanOrEqual(ROUNDS);
      expect(handled).toBeGreaterThan(ROUNDS / 10);
      expect(directory.entries()).toEqual([]);
    } finally {
      await Promise.all(peers.map((peer) => peer[Symbol.asyncDispose]()));
      rmSync(place, { recursive: true, force: true });
    }
  });

  for (const [i, runtime] of RUNTIMES.entries()) {
    it(`a holder in ${runtime} that waits for its handlers answers what it has taken`, async () => {
      using directory = testDirectory();
      const options = { directory: directory.path };
      await using holder = await Peer.start(runtime, options);
      await using sender = await Peer.start(RUNTIMES[(i + 1) % RUNTIMES.length]!, options);
      await holder.run(({ SingleInstance }, state) => void (state.guard = SingleInstance.tryAcquire("program")));
      const sent = sender.run(async ({ SingleInstance }) => {
        const running = await SingleInstance.connect("program");
        const send = (data: string): Promise<unknown> =>
          running.send(data).then((reply) => reply.data, ({ delivered }) => `delivered: ${delivered}`);
        const all = await Promise.all([send("one"), send("two")]);
        running.close();
        return all;
      });
      await sender.run(() => {}); // they wait
      await holder.run((_api, state) => {
        state.guard.serve(({ data }: { data: string }) => {
          queueMicrotask(() => state.left ??= state.guard[Symbol.asyncDispose]());
          return { data };
        });
      });
      expect(await sent).toEqual(["one", "two"]);
      await holder.run((_api, { left }) => left);
    });

    it(`one that starts in ${runtime} waits for the one that is leaving, at whichever step that is held up`, async () => {
      using directory = testDirectory();
      const options = { directory: directory.path, faults: true };
      await using first = await Peer.start(RUNTIMES[(i + 1) % RUNTIMES.length]!, options);
      await using second = await Peer.start(runtime, options);
      const leaveAt = (step: number): Promise<string[]> =>
        first.run(async ({ SingleInstance }, _state, { FAULTS, step }) => {
          const { arm, steps } = await import(FAULTS);
          const guard = SingleInstance.tryAcquire("program")!;
          guard.serve(() => ({ exitCode: 7 }));
          arm(step, "stop");
          guard.release();
          return steps();
        }, { FAULTS, step });
      for (let step = 1;; step++) {
        const left = leaveAt(step);
        const isStopped = await Promise.race([stopped(first.pid).then(() => true), left.then(() => false)]);
        const started = second.run(({ runSingleInstance }) => {
          return runSingleInstance("program", {
            main: () => 3,
            onRequest: () => {},
          }).catch(({ name, message }) => `${name}: ${message}`);
        });
        for (let trips = 0; trips < 50; trips++) await second.run(() => {}); // it has asked, and asks again
        if (isStopped) first.signal("SIGCONT");
        const steps = await left;
        const outcome = await started;
        // Within the lock that everybody needs who attaches, it is told of by its pid.
        const isTold = typeof outcome === "string" && outcome.startsWith("BusyError: ") &&
          outcome.includes(`registry lock is held (process ${first.pid};`);
        if (!isTold) expect(outcome, `${steps[step - 1]}, step ${step}`).toBe(3);
        expect(directory.entries()).toEqual([]);
        if (!isStopped) {
          expect(steps).toContain("info cleared");
          break;
        }
      }
    });
  }
});
