/**
 * Holders that answer, and senders, are killed: the bounded form of test/torture/messages.ts; and stopped, killed and failed
 * at every step: messages/campaign.ts.
 */

import { utimesSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { testDirectory } from "../support/directory.ts";
import { Peer } from "../support/peer.ts";
import { Program } from "../support/program.ts";
import { printedRandom } from "../support/random.ts";
import { RUNTIMES } from "../support/runtimes.ts";
import { messageTorture } from "../torture/messages.ts";
import { WAYS } from "./exit/ways.ts";
import { type Action, Campaign } from "./messages/campaign.ts";
import { SCENES } from "./messages/scenes.ts";

const REQUESTS = 2000;
/** Steps that a campaign must have met, except for those who are killed: they cannot tell. */
const OWN_STEPS = ("message claimed,message named,message file made,message written,message sent,message withdrawn," +
  "message seen,message taken,reply written,message answered,message file removed,messages closing,message turned").split(",");
const CALLS = ["openat new", "openat", "pread", "pwrite", "unlinkat"];
const PROMISES: Readonly<Record<Action, string>> = {
  stop: "tells its sender the truth when one of the two is stopped at any step",
  kill: "tells its sender the truth, and leaves nothing, when one of the two is killed at any step",
  fail: "tells its sender the truth when a system call fails",
};

describe("messages and kills", () => {
  it("each sender is told the truth, and nothing is handled twice, when processes are killed", { timeout: 600_000 }, async () => {
    using directory = testDirectory();
    const result = await messageTorture({ directory: directory.path, requests: REQUESTS, random: printedRandom("messages") });
    const { violations, outcomes, holders, killed } = result;
    console.log(`messages: ${JSON.stringify(outcomes)}; ${holders} held the guard; killed ${JSON.stringify(killed)}`);
    expect(violations).toEqual([]);
    expect(Object.values(outcomes).reduce((a, b) => a + b)).toBeGreaterThanOrEqual(REQUESTS);
    for (const outcome of ["answered", "failed", "no", "unknown"]) expect(outcomes[outcome], outcome).toBeGreaterThan(0);
    expect(holders).toBeGreaterThan(REQUESTS / 100);
    await using peer = await Peer.start(RUNTIMES[0]!, { directory: directory.path });
    await peer.run(({ SingleInstance }) => SingleInstance.tryAcquire("torture")!.release());
    // What a killed sender left to a guard whose file is gone is garbage when it has not been touched for a while.
    const left = directory.entries();
    console.log(`messages: left to the sweep ${left.length}`);
    expect(left.filter((name) => !/^[rb]\./.test(name))).toEqual([]);
    for (const name of left) utimesSync(`${directory.path}/${name}`, 0, 0);
    await peer.run(({ SharedMemory }) => {
      for (const key of ["one", "two"]) SharedMemory.create(key, 64).detach();
    });
    expect(directory.entries()).toEqual([]);
  });
});

const program = (name: string): string => new URL(`./messages/${name}.ts`, import.meta.url).pathname;
/** See workers.test.ts. */
const WORKER_FLAGS = { deno: [], bun: [], node: ["--no-concurrent-recompilation"] } as const;

describe.concurrent("messages and exit", () => {
  for (const [i, runtime] of RUNTIMES.entries()) {
    const other = RUNTIMES[(i + 1) % RUNTIMES.length]!;

    for (const role of ["serve", "send"] as const) {
      it(`a process in ${runtime} that ends while it ${role}s, in every way, leaves nothing, and nobody waiting`, async () => {
        using directory = testDirectory();
        await using witness = await Peer.start(other, { directory: directory.path });
        for (const [way, traits] of Object.entries(WAYS)) {
          if ("only" in traits && traits.only !== runtime) continue;
          const begun = role === "send" && await witness.run(({ SingleInstance }, state) => {
            state.guard = SingleInstance.tryAcquire("ends");
            state.begun = Promise.withResolvers();
            state.aborted = Promise.withResolvers();
            state.guard.serve(({ signal }: { signal: AbortSignal }) => {
              state.begun.resolve();
              signal.addEventListener("abort", () => state.aborted.resolve(true));
              return state.aborted.promise.then(() => {});
            });
            return true;
          });
          await using ending = new Program(runtime, program("ends"), { directory: directory.path, args: [role, way] });
          expect(await ending.line(), way).toBe("ready");
          const sent = begun ? witness.run((_api, { begun }) => begun.promise) : witness.run(async ({ SingleInstance }) => {
            const running = await SingleInstance.connect("ends");
            return await running.send("x").then(() => "answered", ({ name, delivered }) => `${name}, ${delivered}`)
              .finally(() => running.close());
          });
          if (begun) await sent;
          else expect(await ending.line(), way).toBe("serves");
          if ("signal" in traits) ending.child.kill(traits.signal);
          else ending.say();
          expect(await ending.exited(), `${way}: ${ending.stderr}`).toBe("signal" in traits ? traits.signal : traits.code);
          if (begun) {
            expect(await witness.run((_api, { aborted }) => aborted.promise), way).toBe(true);
            await witness.run(async (_api, { guard }) => await guard[Symbol.asyncDispose]());
          } else {
            expect(await sent, way).toBe("NotRunningError, unknown");
            await witness.run(({ SingleInstance }) => SingleInstance.tryAcquire("ends")!.release());
          }
          expect(directory.entries(), way).toEqual([]);
        }
      });
    }

    it(`Ctrl-C ends a second start in ${runtime} that waits for its reply, and the first one learns of it`, async () => {
      using directory = testDirectory();
      await using witness = await Peer.start(other, { directory: directory.path });
      await witness.run(({ SingleInstance }, state) => {
        state.guard = SingleInstance.tryAcquire("ends");
        state.begun = Promise.withResolvers();
        state.ended = Promise.withResolvers();
        state.guard.serve(({ signal }: { signal: AbortSignal }) => {
          state.begun.resolve();
          signal.addEventListener("abort", () => state.ended.resolve(signal.reason.message));
          return state.ended.promise.then(() => {});
        });
      });
      await using waiting = new Program(runtime, program("waiting"), { directory: directory.path });
      await witness.run((_api, { begun }) => begun.promise);
      waiting.child.kill("SIGINT");
      expect(await waiting.exited()).toBe("SIGINT");
      expect(await witness.run((_api, { ended }) => ended.promise)).toBe("The sender has died or given up");
      await witness.run(async (_api, { guard }) => await guard[Symbol.asyncDispose]());
      expect(directory.entries()).toEqual([]);
    });

    it(`a Worker in ${runtime} answers, and when it was terminated, senders are told that nobody accepts`, async () => {
      using directory = testDirectory();
      await using witness = await Peer.start(other, { directory: directory.path });
      const send = (timeout: number): Promise<unknown> =>
        witness.run(async ({ SingleInstance }, _state, timeout) => {
          const running = await SingleInstance.connect("ends");
          return await running.send("x", { timeout }).then(({ data }) => data, ({ name, delivered }) => `${name}, ${delivered}`)
            .finally(() => running.close());
        }, timeout);
      for (const end of ["release", "terminate"]) {
        const options = { directory: directory.path, flags: WORKER_FLAGS[runtime] };
        await using holder = new Program(runtime, program("worker"), options);
        expect(await holder.line()).toBe("serves");
        expect(await send(60_000)).toBe("worker: x");
        holder.say(end);
        expect(await holder.line()).toBe(`${end}d`);
        if (end === "terminate") expect(await send(50)).toBe("TimeoutError, no");
        holder.say("exit");
        expect(await holder.exited(), holder.stderr).toBe(0);
        const recovered = await witness.run(({ SingleInstance }) => {
          const guard = SingleInstance.tryAcquire("ends")!;
          guard.release();
          return guard.recovered;
        });
        expect(recovered).toBe(end === "terminate");
        expect(directory.entries()).toEqual([]);
      }
    });
  }
});

describe.concurrent("messages and faults", () => {
  for (const [i, runtime] of RUNTIMES.entries()) {
    for (const action of ["stop", "kill", "fail"] as const) {
      it(`a message in ${runtime} ${PROMISES[action]}`, { timeout: 600_000 }, async () => {
        using directory = testDirectory();
        using place = testDirectory();
        await using campaign = new Campaign(runtime, action, directory, place.path);
        for (const [j, what] of Object.keys(SCENES).entries()) {
          // Every step costs a process that is killed: the runtimes share them.
          if (action === "kill") await campaign.run(what, 1 + (i + j) % RUNTIMES.length, RUNTIMES.length);
          else await campaign.run(what);
        }
        const { hits, outcomes } = campaign;
        const total = Object.values(hits).reduce((a, b) => a + b, 0);
        console.log(`${action} in ${runtime}, ${total}: ${JSON.stringify(hits)}; told ${JSON.stringify(outcomes)}`);
        if (action !== "kill") expect(Object.keys(hits)).toEqual(expect.arrayContaining(action === "stop" ? OWN_STEPS : CALLS));
      });
    }
  }
});
