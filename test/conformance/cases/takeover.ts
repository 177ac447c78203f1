/** Taking a guard over: asking its holder to leave, and ending one that does not, if that is wished. */

import assert from "node:assert/strict";
import { setImmediate, setTimeout } from "node:timers/promises";
import { inspect, list, type NotRunningError, SingleInstance } from "../../../mod.ts";
import type { Peer } from "../../support/peer.ts";
import { freshKey, type Suite } from "../case.ts";
import {
  assertDomException,
  countListeners,
  countTimers,
  microtasks,
  refusalOf,
  rejectionOf,
  until,
  watch,
} from "../helpers.ts";
import { startPeer } from "../peers.ts";

/** Longer than anybody who leaves takes; ends what would otherwise be a hang. */
const PATIENCE = { grace: 60_000 };

function hold(name: string): SingleInstance {
  const guard = SingleInstance.tryAcquire(name);
  assert.ok(guard !== undefined);
  return guard;
}

/** How many attachments the guard's file has: the holder, and those who wait. */
function attached(name: string): number {
  return inspect("instance", name)?.attached.length ?? 0;
}

/** Lets a process hold a guard that does not leave when it is asked; a SIGTERM ends it, releases, or does nothing. */
function holdThere(peer: Peer, name: string, onSignal: "ends" | "releases" | "stays"): Promise<void> {
  return peer.run(({ SingleInstance }, state, { name, onSignal }) => {
    state.guard = SingleInstance.tryAcquire(name);
    state.asked = state.signals = 0;
    state.guard.replaced.addEventListener("abort", () => state.asked++);
    if (onSignal === "ends") return;
    process.on("SIGTERM", () => {
      state.signals++;
      if (onSignal === "releases") state.guard.release();
    });
  }, { name, onSignal });
}

export const takeover: Suite = {
  name: "takeover",
  cases: [
    {
      name: "replace on a free name just holds it, in the same turn",
      async run() {
        for (const replace of [{ grace: 0 }, PATIENCE, { grace: Infinity, kill: true }]) {
          const acquiring = watch(SingleInstance.acquire(freshKey(), { replace }));
          await microtasks();
          assert.equal(acquiring.state, "fulfilled", `${acquiring.reason}`);
          assert.deepEqual([acquiring.value!.recovered, acquiring.value!.replaced.aborted], [false, false]);
          acquiring.value!.release();
        }
        assert.deepEqual(list(), []);
      },
    },
    {
      name: "replaced aborts when somebody asks; when the holder releases, who asked holds the guard",
      async run() {
        const name = freshKey();
        let guard = hold(name);
        for (let i = 0; i < 3; i++) {
          const { replaced } = guard;
          assert.equal(guard.replaced, replaced);
          await setTimeout(1);
          assert.equal(replaced.aborted, false, "nobody asks this one yet");
          let events = 0;
          replaced.addEventListener("abort", () => events++);
          const acquiring = watch(SingleInstance.acquire(name, { replace: PATIENCE, data: i }));
          await until(() => replaced.aborted, "it is asked");
          assertDomException(replaced.reason, "AbortError");
          assert.equal(replaced.reason.message, `Another process wants to hold instance ${JSON.stringify(name)}`);
          for (let turn = 0; turn < 20; turn++) {
            await setTimeout(1);
            assert.equal(acquiring.state, "pending");
          }
          guard.release();
          await until(() => acquiring.state !== "pending", "its turn");
          assert.equal(events, 1);
          guard = acquiring.value!;
          assert.equal(guard.recovered, false);
          using running = await SingleInstance.connect(name);
          assert.equal(running.info.data, i);
        }
        guard.release();
        assert.deepEqual(list(), []);
      },
    },
    {
      name: "replaced that is looked at only after somebody has asked aborts as well",
      async run() {
        const name = freshKey();
        using guard = hold(name);
        const acquiring = SingleInstance.acquire(name, { replace: { grace: 0 } });
        await refusalOf(acquiring);
        await until(() => guard.replaced.aborted, "it is told");
      },
    },
    {
      name: "replaced does not abort for those who only wait, or look",
      async run() {
        const name = freshKey();
        const guard = hold(name);
        const { replaced } = guard;
        const waiting = watch(SingleInstance.acquire(name, { timeout: Infinity }));
        SingleInstance.tryAcquire(name);
        using running = await SingleInstance.connect(name);
        const sending = watch(running.send(1));
        for (let turn = 0; turn < 30; turn++) {
          await setTimeout(1);
          assert.equal(replaced.aborted, false);
        }
        guard.release();
        await until(() => waiting.state === "fulfilled", "its turn");
        await until(() => sending.state === "rejected", "refused");
        assert.deepEqual([replaced.aborted, guard.replaced.aborted], [false, false]);
        waiting.value!.release();
      },
    },
    {
      name: "replaced of a guard that was released never aborts",
      async run() {
        const name = freshKey();
        const first = hold(name);
        first.release();
        assert.equal(first.replaced.aborted, false);
        using second = hold(name);
        await refusalOf(SingleInstance.acquire(name, { replace: { grace: 0 } }));
        await until(() => second.replaced.aborted, "the holder is asked");
        assert.equal(first.replaced.aborted, false);
      },
    },
    {
      name: "a holder that does not leave: AlreadyRunningError after grace, and after timeout behind it; not before",
      async run() {
        const name = freshKey();
        const guard = await SingleInstance.tryAcquire(name, { data: "stays" })!;
        for (const [grace, timeout] of [[0, 0], [4.5, 0], [30, 0], [0, 30], [20, 20]] as const) {
          const start = performance.now();
          const error = await refusalOf(SingleInstance.acquire(name, { replace: { grace }, timeout }));
          const took = performance.now() - start;
          assert.ok(took >= grace + timeout, `${took} >= ${grace + timeout}`);
          assert.deepEqual([error.pid, error.primary?.data, attached(name)], [process.pid, "stays", 1]);
        }
        const waiting = watch(SingleInstance.acquire(name, { replace: { grace: 1 }, timeout: Infinity }));
        for (let turn = 0; turn < 30; turn++) {
          await setTimeout(1);
          assert.equal(waiting.state, "pending");
        }
        guard.release();
        await until(() => waiting.state === "fulfilled", "its turn");
        waiting.value!.release();
      },
    },
    {
      name: "an abort while it waits for the holder to leave rejects with the reason in the same turn; that goes on",
      async run() {
        const name = freshKey();
        const guard = hold(name);
        const reasons = ["a text", 0, null, new SyntaxError("mine")];
        for (const replace of [PATIENCE, { grace: 0 }]) {
          for (const reason of reasons) {
            const controller = new AbortController();
            const listeners = countListeners(controller.signal);
            const options = { replace, timeout: Infinity, signal: controller.signal };
            const acquiring = watch(SingleInstance.acquire(name, options));
            await setTimeout(5);
            assert.equal(acquiring.state, "pending");
            controller.abort(reason);
            await microtasks();
            assert.deepEqual([acquiring.state, acquiring.reason], ["rejected", reason]);
            assert.deepEqual([attached(name), listeners.count], [1, 0]);
            const early = watch(SingleInstance.acquire(name, { replace, signal: AbortSignal.abort(reason) }));
            await microtasks();
            assert.deepEqual([early.state, early.reason], ["rejected", reason]);
          }
        }
        guard.release();
        assert.deepEqual(list(), []);
      },
    },
    {
      name: "a signal that is aborted already asks nobody",
      async run() {
        const name = freshKey();
        using guard = hold(name);
        const { replaced } = guard;
        await rejectionOf(SingleInstance.acquire(name, { replace: PATIENCE, signal: AbortSignal.abort() }));
        for (let turn = 0; turn < 30; turn++) {
          await setTimeout(1);
          assert.equal(replaced.aborted, false);
        }
      },
    },
    {
      name: "several who want to replace get their turns, one after the other",
      async run() {
        const name = freshKey();
        const first = hold(name);
        let inside = 1;
        first.replaced.addEventListener("abort", () => {
          inside--;
          first.release();
        });
        const turns = Array.from({ length: 5 }, async () => {
          using _guard = await SingleInstance.acquire(name, { replace: PATIENCE });
          assert.equal(++inside, 1);
          await setImmediate();
          inside--;
        });
        await Promise.all(turns);
        assert.deepEqual(list(), []);
      },
    },
    {
      name: "a holder that serves and leaves when asked refuses what waits, and answers what it has begun",
      async run() {
        const name = freshKey();
        const begun: PromiseWithResolvers<void>[] = [];
        const guard = hold(name);
        guard.serve(async ({ data }) => {
          const gate = Promise.withResolvers<void>();
          begun.push(gate);
          await gate.promise;
          return { data: data! };
        });
        const disposed = new Promise((resolve, reject) => {
          guard.replaced.addEventListener("abort", () => guard[Symbol.asyncDispose]().then(resolve, reject));
        });
        using running = await SingleInstance.connect(name);
        const sent = Array.from({ length: 20 }, (_, i) => watch(running.send(i)));
        await until(() => begun.length === 16, "16 handlers run");
        const acquiring = watch(SingleInstance.acquire(name, { replace: PATIENCE }));
        await until(() => sent[19]!.state === "rejected", "who waits is refused");
        assert.equal(acquiring.state, "pending");
        for (const { resolve } of begun) resolve();
        await disposed;
        await until(() => acquiring.state === "fulfilled", "its turn");
        await until(() => sent.every(({ state }) => state !== "pending"), "all are told");
        assert.deepEqual(sent.slice(0, 16).map(({ value }) => value?.data), [...begun.keys()]);
        for (const { reason } of sent.slice(16)) assert.equal((reason as NotRunningError).delivered, "no");
        acquiring.value!.release();
      },
    },
    {
      name: "the look at replaced leaves no timer behind",
      async run() {
        using timers = countTimers();
        const guard = hold(freshKey());
        assert.equal(guard.replaced.aborted, false);
        await setImmediate();
        guard.release();
        assert.equal(timers.count, 0);
      },
    },
    {
      name: "wrong options of replace: TypeError or RangeError, and nobody is asked",
      async run() {
        const name = freshKey();
        using guard = hold(name);
        const { replaced } = guard;
        const bad: [unknown, typeof TypeError | typeof RangeError, RegExp][] = [
          [null, TypeError, /^Options must be an object: got null$/],
          [true, TypeError, /^Options must be an object: got boolean$/],
          [1000, TypeError, /^Options must be an object: got number$/],
          [[], TypeError, /^Options must be an object: got an array$/],
          [{}, TypeError, /^Replace\.grace must be a number of ms: got undefined$/],
          [{ kill: true }, TypeError, /^Replace\.grace must be a number of ms: got undefined$/],
          [{ grace: "1" }, TypeError, / must be a number: got string$/],
          [{ grace: null }, TypeError, / must be a number: got null$/],
          [{ grace: -1 }, RangeError, / must be at least 0 ms: got -1$/],
          [{ grace: NaN }, RangeError, / must be at least 0 ms: got NaN$/],
          [{ grace: 1, kill: 1 }, TypeError, /^Replace\.kill must be a boolean: got number$/],
          [{ grace: 1, kill: null }, TypeError, /^Replace\.kill must be a boolean: got null$/],
          [{ grace: 1, Kill: true }, TypeError, /^Unknown option "Kill": known are "grace", "kill"$/],
        ];
        for (const [replace, Class, message] of bad) {
          for (const key of [name, freshKey()]) {
            const error = await rejectionOf(SingleInstance.acquire(key, { replace: replace as never }));
            assert.ok(error instanceof Class, `${message}: ${error}`);
            assert.match(error.message, message);
          }
        }
        await setTimeout(20);
        assert.equal(replaced.aborted, false);
        assert.equal(list().length, 1);
      },
    },
    {
      name: "another process is asked, and leaves",
      needs: "system",
      async run() {
        const name = freshKey();
        await using peer = await startPeer();
        await peer.run(({ SingleInstance }, state, name) => {
          state.guard = SingleInstance.tryAcquire(name);
          state.guard.replaced.addEventListener("abort", () => state.guard.release());
        }, name);
        using guard = await SingleInstance.acquire(name, { replace: PATIENCE });
        assert.equal(guard.recovered, false);
        const reason = await peer.run((_, state) => state.guard.replaced.reason.message);
        assert.equal(reason, `Another process wants to hold instance ${JSON.stringify(name)}`);
        assert.equal(await peer.end(), 0);
      },
    },
    {
      name: "without kill nothing is ever killed, whatever the holder does",
      needs: "system",
      async run() {
        const name = freshKey();
        await using peer = await startPeer();
        await holdThere(peer, name, "stays");
        for (const replace of [{ grace: 0 }, { grace: 30 }, { grace: 0, kill: false }, { grace: 0, kill: undefined }]) {
          const error = await refusalOf(SingleInstance.acquire(name, { replace: replace as { grace: number } }));
          assert.equal(error.pid, peer.pid);
        }
        const asked = await peer.run(async (_, state) => {
          while (state.asked === 0) await new Promise((resolve) => setTimeout(resolve, 1));
          return [state.asked, state.signals];
        });
        assert.deepEqual(asked, [1, 0]);
        await peer.run((_, state) => state.guard.release());
      },
    },
    {
      name: "with kill a holder that ignores being asked gets SIGTERM; the next one is told of a crash",
      needs: "system",
      async run() {
        const name = freshKey();
        await using peer = await startPeer();
        await holdThere(peer, name, "ends");
        const start = performance.now();
        // SIGKILL follows `grace` later: the test tells which one it was
        using guard = await SingleInstance.acquire(name, { replace: { grace: 300, kill: true } });
        assert.ok(performance.now() - start >= 300, "it had its time");
        assert.equal(guard.recovered, true);
        assert.equal(await peer.exited(), "SIGTERM");
      },
    },
    {
      name: "a holder that releases at SIGTERM is not killed",
      needs: "system",
      async run() {
        const name = freshKey();
        await using peer = await startPeer();
        await holdThere(peer, name, "releases");
        const acquiring = SingleInstance.acquire(name, { replace: { grace: 2000, kill: true } });
        using guard = await acquiring;
        assert.equal(guard.recovered, false);
        assert.deepEqual(await peer.run((_, state) => [state.asked, state.signals]), [1, 1]);
        assert.equal(await peer.end(), 0);
      },
    },
    {
      name: "with kill a holder that ignores SIGTERM too gets SIGKILL, and is recovered from",
      needs: "system",
      async run() {
        const name = freshKey();
        await using peer = await startPeer();
        await holdThere(peer, name, "stays");
        using guard = await SingleInstance.acquire(name, { replace: { grace: 30, kill: true } });
        assert.equal(guard.recovered, true);
        assert.equal(await peer.exited(), "SIGKILL");
      },
    },
    {
      name: "an abort during grace ends nobody",
      needs: "system",
      async run() {
        const name = freshKey();
        await using peer = await startPeer();
        await holdThere(peer, name, "stays");
        const controller = new AbortController();
        const options = { replace: { grace: 60_000, kill: true }, signal: controller.signal };
        const acquiring = watch(SingleInstance.acquire(name, options));
        await peer.run(async (_, state) => {
          while (state.asked === 0) await new Promise((resolve) => setTimeout(resolve, 1));
        });
        controller.abort("enough");
        await microtasks();
        assert.equal(acquiring.reason, "enough");
        assert.deepEqual(await peer.run((_, state) => [state.asked, state.signals]), [1, 0]);
        assert.equal((await refusalOf(SingleInstance.acquire(name))).pid, peer.pid);
        await peer.run((_, state) => state.guard.release());
      },
    },
    {
      name: "with kill only the holder that was asked is ended: not one that holds the guard after it",
      needs: "system",
      async run() {
        const name = freshKey();
        await using peer = await startPeer();
        await peer.run(({ SingleInstance }, state, name) => {
          state.guard = SingleInstance.tryAcquire(name);
          state.signals = 0;
          process.on("SIGTERM", () => state.signals++);
          state.guard.replaced.addEventListener("abort", () => {
            state.guard.release();
            state.next = SingleInstance.tryAcquire(name);
          });
        }, name);
        const acquiring = SingleInstance.acquire(name, { replace: { grace: 300, kill: true } });
        const guard = await acquiring.catch((error: Error) => error);
        const [next, signals] = await peer.run((_, state) => [state.next !== undefined, state.signals]);
        assert.equal(signals, 0);
        assert.equal(guard instanceof SingleInstance, !next, `${guard}`);
        if (guard instanceof SingleInstance) guard.release();
        else await peer.run((_, state) => state.next.release());
        assert.equal(await peer.end(), 0);
      },
    },
  ],
};
