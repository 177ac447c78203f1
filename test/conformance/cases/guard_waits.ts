/** Waiting for a guard, and for somebody who holds it: timeouts, signals, turns; and what waits leave behind. */

import assert from "node:assert/strict";
import { unlinkSync } from "node:fs";
import { setImmediate, setTimeout } from "node:timers/promises";
import {
  AlreadyRunningError,
  inspect,
  list,
  MessageTooLargeError,
  NotRunningError,
  type QshmError,
  type RunningInstance,
  SharedMemory,
  SingleInstance,
} from "../../../mod.ts";
import { footprint } from "../../support/kernel.ts";
import { freshKey, type Suite } from "../case.ts";
import {
  assertDomException,
  countListeners,
  microtasks,
  refusalOf,
  rejectionOf,
  until,
  watch,
} from "../helpers.ts";
import { directory, startPeer } from "../peers.ts";
import { withRandomAsync } from "../random.ts";

/** Ends what would otherwise be a hang; no case gets near it. */
const WATCHDOG = { timeout: 60_000 };

function hold(name: string): SingleInstance {
  const guard = SingleInstance.tryAcquire(name);
  assert.ok(guard !== undefined);
  return guard;
}

/** How many attachments the guard's file has: the holder, and those who wait. */
function attached(name: string): number {
  return inspect("instance", name)?.attached.length ?? 0;
}

export const guardWaits: Suite = {
  name: "guard waits",
  cases: [
    {
      name: "acquire() and connect() do not wait unless told so: rejected in the same turn",
      async run() {
        const [name, free] = [freshKey(), freshKey()];
        using _guard = hold(name);
        for (const options of [undefined, {}, { timeout: 0 }, { timeout: -0 }, { timeout: undefined }]) {
          const acquiring = watch(SingleInstance.acquire(name, options as never));
          const connecting = watch(SingleInstance.connect(free, options as never));
          await microtasks();
          assert.ok(acquiring.reason instanceof AlreadyRunningError, `${acquiring.reason}`);
          assert.ok(connecting.reason instanceof NotRunningError, `${connecting.reason}`);
        }
      },
    },
    {
      name: "acquire() takes a free guard, and connect() finds who holds one, in the same turn whatever the timeout",
      async run() {
        for (const timeout of [undefined, 0, 0.5, 1, 2 ** 31, 2 ** 53, Number.MAX_VALUE, Infinity]) {
          const name = freshKey();
          const acquiring = watch(SingleInstance.acquire(name, { timeout } as never));
          const connecting = watch(SingleInstance.connect(name, { timeout } as never));
          await microtasks();
          assert.deepEqual([acquiring.state, connecting.state], ["fulfilled", "fulfilled"]);
          acquiring.value!.release();
        }
      },
    },
    {
      name: "acquire() is rejected with AlreadyRunningError when time is up, never with TimeoutError, and not before",
      async run() {
        const name = freshKey();
        const guard = await SingleInstance.acquire(name, { data: "mine" });
        for (const timeout of [1, 4.5, 40]) {
          const start = performance.now();
          const error = await refusalOf(SingleInstance.acquire(name, { timeout }));
          assert.ok(performance.now() - start >= timeout, `${performance.now() - start} >= ${timeout}`);
          assert.deepEqual([error.code, error.pid, error.primary?.data], ["AlreadyRunning", process.pid, "mine"]);
          assert.equal(attached(name), 1, "who waited has left");
        }
        guard.release();
        assert.deepEqual(list(), []);
      },
    },
    {
      name: "connect() is rejected with NotRunningError when time is up, and not before",
      async run() {
        const name = freshKey();
        for (const timeout of [1, 4.5, 40]) {
          const start = performance.now();
          const error = await rejectionOf(SingleInstance.connect(name, { timeout }));
          assert.ok(performance.now() - start >= timeout, `${performance.now() - start} >= ${timeout}`);
          assert.ok(error instanceof NotRunningError, `${error}`);
        }
        assert.deepEqual(list(), [], "who asks makes nothing");
      },
    },
    {
      name: "waits with different timeouts end by time",
      async run() {
        const [name, free] = [freshKey(), freshKey()];
        using _guard = hold(name);
        const order: string[] = [];
        await Promise.all([200, 100, 0].flatMap((timeout) => [
          refusalOf(SingleInstance.acquire(name, { timeout })).then(() => order.push(`a${timeout}`)),
          rejectionOf(SingleInstance.connect(free, { timeout })).then(() => order.push(`c${timeout}`)),
        ]));
        assert.deepEqual(order.filter((end) => end.startsWith("a")), ["a0", "a100", "a200"]);
        assert.deepEqual(order.filter((end) => end.startsWith("c")), ["c0", "c100", "c200"]);
      },
    },
    {
      name: "acquire() waits without an end where the timeout is Infinity, or beyond what timers take; the loop turns",
      async run() {
        const name = freshKey();
        const guard = hold(name);
        const fates = [Infinity, 2 ** 31, 2 ** 32 + 5, Number.MAX_VALUE].map((timeout) =>
          watch(SingleInstance.acquire(name, { timeout }))
        );
        for (let i = 0; i < 20; i++) {
          await setTimeout(1);
          for (const { state } of fates) assert.equal(state, "pending");
        }
        guard.release();
        for (let left = fates.length; left > 0; left--) {
          await until(() => fates.some(({ state }) => state === "fulfilled"), "a turn");
          const at = fates.findIndex(({ state }) => state === "fulfilled");
          const { value } = fates.splice(at, 1)[0]!;
          assert.equal(value!.recovered, false);
          assert.ok(fates.every(({ state }) => state === "pending"));
          value!.release();
        }
        assert.deepEqual(list(), []);
      },
    },
    {
      name: "who waited tells of itself what it was asked to, not what its predecessor told",
      async run() {
        const name = freshKey();
        const guard = await SingleInstance.acquire(name, { data: "first, and longer", args: ["1", "2"] });
        const waiting = SingleInstance.acquire(name, { data: "next", args: ["3"], ...WATCHDOG });
        guard.release();
        using _next = await waiting;
        using running = await SingleInstance.connect(name);
        assert.deepEqual([running.info.data, running.info.args], ["next", ["3"]]);
      },
    },
    {
      name: "acquire() can be refused for what it asks before it waits",
      async run() {
        const name = freshKey();
        using _guard = hold(name);
        const large = await rejectionOf(SingleInstance.acquire(name, { data: new Uint8Array(1 << 17), ...WATCHDOG }));
        assert.ok(large instanceof MessageTooLargeError);
        const wrong = await rejectionOf(SingleInstance.acquire(name, { data: NaN, ...WATCHDOG }));
        assert.ok(wrong instanceof TypeError);
        const lost = await rejectionOf(SingleInstance.acquire(name, { directory: "/nonexistent/qshm", ...WATCHDOG }));
        assert.equal((lost as QshmError).code, "DirectoryNotFound");
      },
    },
    {
      name: "fifty who wait for one guard all get their turn, one at a time",
      async run() {
        const name = freshKey();
        const first = hold(name);
        let inside = 0;
        let turns = 0;
        const tasks = Array.from({ length: 50 }, async (_, i) => {
          using guard = await SingleInstance.acquire(name, WATCHDOG);
          assert.equal(++inside, 1);
          assert.equal(guard.recovered, false);
          if (i % 2 === 0) await setTimeout(1);
          else await setImmediate();
          assert.equal(SingleInstance.tryAcquire(name), undefined);
          inside--;
          turns++;
        });
        await setTimeout(1);
        assert.equal(turns, 0);
        assert.equal(attached(name), 51);
        first.release();
        await Promise.all(tasks);
        assert.equal(turns, 50);
        assert.deepEqual(list(), []);
      },
    },
    {
      name: "acquire() and connect() with a signal that is aborted already: rejected with its reason, nothing is held",
      async run() {
        const [name, running] = [freshKey(), freshKey()];
        using _guard = hold(running);
        for (const f of [() => [name, SingleInstance.acquire], () => [running, SingleInstance.connect]] as const) {
          for (const reason of ["a string", 0, null, new SyntaxError("mine"), new AlreadyRunningErrorLike()]) {
            for (const timeout of [0, Infinity]) {
              const [key, call] = f() as [string, typeof SingleInstance.acquire];
              assert.equal(await rejectionOf(call(key, { signal: AbortSignal.abort(reason), timeout })), reason);
            }
          }
        }
        const aborted = await rejectionOf(SingleInstance.acquire(name, { signal: AbortSignal.abort() }));
        assertDomException(aborted, "AbortError");
        assert.deepEqual(list().map(({ key }) => key), [running]);
      },
    },
    {
      name: "an abort rejects a wait with the signal's reason in the same turn, and it has left in the same turn too",
      async run() {
        const [name, free] = [freshKey(), freshKey()];
        using _guard = hold(name);
        for (const reason of ["a string", 0, null, new SyntaxError("mine")]) {
          const controller = new AbortController();
          const options = { signal: controller.signal, timeout: Infinity };
          const fates = [SingleInstance.acquire(name, options), SingleInstance.connect(free, options)].map(
            (promise) => watch<unknown>(promise),
          );
          await setImmediate();
          assert.deepEqual(fates.map(({ state }) => state), ["pending", "pending"]);
          assert.equal(attached(name), 2);
          controller.abort(reason);
          await microtasks();
          for (const fate of fates) assert.deepEqual([fate.state, fate.reason], ["rejected", reason]);
          assert.equal(attached(name), 1);
        }
      },
    },
    {
      name: "AbortSignal.timeout() rejects with the signal's TimeoutError: that is the signal's word",
      async run() {
        const name = freshKey();
        using _guard = hold(name);
        for (const f of [SingleInstance.acquire, SingleInstance.connect]) {
          const signal = AbortSignal.timeout(5);
          const key = f === SingleInstance.connect ? freshKey() : name;
          const reason = await rejectionOf(f(key, { signal, timeout: Infinity }));
          assert.equal(reason, signal.reason);
          assertDomException(reason, "TimeoutError");
        }
      },
    },
    {
      name: "an abort after the guard was had, or the connection made, changes nothing",
      async run() {
        const name = freshKey();
        for (const timeout of [0, Infinity]) {
          const controller = new AbortController();
          const options = { signal: controller.signal, timeout };
          const acquiring = SingleInstance.acquire(name, options);
          controller.abort(); // in the same turn: it was had already
          using guard = await acquiring;
          assert.equal(guard.lost.aborted, false);
          assert.equal(SingleInstance.tryAcquire(name), undefined);
          const other = new AbortController();
          using running = await SingleInstance.connect(name, { signal: other.signal, timeout });
          other.abort();
          await microtasks();
          assert.equal(running.info.pid, process.pid);
        }
      },
    },
    {
      name: "an abort and a release() in one turn lose neither the guard nor another one who waits",
      async run() {
        for (const abortFirst of [true, false]) {
          const name = freshKey();
          const guard = hold(name);
          const controller = new AbortController();
          const aborted = watch(SingleInstance.acquire(name, { signal: controller.signal, timeout: Infinity }));
          const next = SingleInstance.acquire(name, WATCHDOG);
          await setImmediate();
          const steps = [() => controller.abort(), () => guard.release()];
          for (const step of abortFirst ? steps : steps.reverse()) step();
          await microtasks();
          assert.equal(aborted.state, "rejected");
          (await next).release();
          assert.deepEqual(list(), []);
        }
      },
    },
    {
      name: "acquire() and connect() let go of the signal when they have ended, however",
      async run() {
        const [name, free] = [freshKey(), freshKey()];
        const guard = hold(name);
        const { signal } = new AbortController();
        const listeners = countListeners(signal);
        await refusalOf(SingleInstance.acquire(name, { signal }));
        await rejectionOf(SingleInstance.connect(free, { signal }));
        assert.equal(listeners.count, 0, "without a wait");
        await refusalOf(SingleInstance.acquire(name, { signal, timeout: 5 }));
        await rejectionOf(SingleInstance.connect(free, { signal, timeout: 5 }));
        assert.equal(listeners.count, 0, "after a timeout");
        const waiting = SingleInstance.acquire(name, { signal, ...WATCHDOG });
        assert.equal(listeners.count, 1);
        guard.release();
        (await waiting).release();
        assert.equal(listeners.count, 0, "after success");
        const connecting = SingleInstance.connect(free, { signal, ...WATCHDOG });
        using _free = hold(free);
        (await connecting).close();
        assert.equal(listeners.count, 0, "after a connection");
      },
    },
    {
      name: "waits with ref: false get what they wait for as well",
      async run() {
        const name = freshKey();
        const guard = hold(name);
        const alive = setInterval(() => {}, 1000); // such a wait keeps no process alive
        const waiting = SingleInstance.acquire(name, { ref: false, ...WATCHDOG });
        await setImmediate();
        guard.release();
        (await waiting).release();
        const connecting = SingleInstance.connect(name, { ref: false, ...WATCHDOG });
        await setImmediate();
        using _guard = hold(name);
        (await connecting).close();
        clearInterval(alive);
      },
    },
    {
      name: "connect() waits until somebody holds the guard",
      async run() {
        const name = freshKey();
        for (let i = 0; i < 3; i++) {
          const fates = [Infinity, 60_000].map((timeout) => watch(SingleInstance.connect(name, { timeout })));
          for (let turn = 0; turn < 5; turn++) await setTimeout(1);
          assert.ok(fates.every(({ state }) => state === "pending"));
          assert.deepEqual(list(), []);
          using _guard = await SingleInstance.acquire(name, { data: i });
          await until(() => fates.every(({ state }) => state === "fulfilled"), "connected");
          for (const { value } of fates) assert.equal((value as RunningInstance).info.data, i);
        }
      },
    },
    {
      name: "a hundred waits that time out or are aborted leave one attachment, the holder's",
      async run() {
        const name = freshKey();
        using _guard = hold(name);
        const controller = new AbortController();
        const options = { signal: controller.signal, timeout: Infinity };
        const aborted = Array.from({ length: 50 }, () => watch(SingleInstance.acquire(name, options)));
        const timeouts = Array.from({ length: 50 }, (_, i) => i % 20);
        await Promise.all(timeouts.map((timeout) => refusalOf(SingleInstance.acquire(name, { timeout }))));
        assert.equal(attached(name), 51);
        controller.abort();
        await microtasks();
        for (const { reason } of aborted) assertDomException(reason, "AbortError");
        assert.equal(attached(name), 1);
      },
    },
    {
      name: "a tryAcquire() between release() and the next look may win; who waits gets the guard after that",
      async run() {
        const name = freshKey();
        const guard = hold(name);
        const waiting = watch(SingleInstance.acquire(name, WATCHDOG));
        await setImmediate();
        guard.release();
        const quick = hold(name);
        for (let i = 0; i < 30; i++) {
          await setTimeout(1);
          assert.equal(waiting.state, "pending");
        }
        quick.release();
        await until(() => waiting.state === "fulfilled", "its turn");
        assert.equal(waiting.value!.recovered, false);
        waiting.value!.release();
      },
    },
    {
      name: "waits that are aborted at random moments never leave a guard held, nor a file or a waiter",
      run() {
        return withRandomAsync(async (random) => {
          const names = [freshKey(), freshKey(), freshKey()];
          const inside = new Map<string, number>(names.map((name) => [name, 0]));
          const ends = { had: 0, aborted: 0, refused: 0 };
          const task = async (): Promise<void> => {
            const name = random.of(names);
            const controller = new AbortController();
            const reason = Symbol("reason");
            const moment = random.below(40);
            const stay = random.below(4);
            const timeout = random.of([0, 5, 20, Infinity, Infinity]);
            const aborting = setTimeout(moment).then(() => controller.abort(reason));
            try {
              using guard = await SingleInstance.acquire(name, { signal: controller.signal, timeout });
              inside.set(name, inside.get(name)! + 1);
              assert.equal(inside.get(name), 1);
              assert.equal(guard.recovered, false);
              await setTimeout(stay);
              inside.set(name, inside.get(name)! - 1);
              ends.had++;
            } catch (error) {
              if (error === reason) ends.aborted++;
              else if (error instanceof AlreadyRunningError) ends.refused++;
              else throw error;
            }
            await aborting;
          };
          for (let round = 0; round < 15; round++) await Promise.all(Array.from({ length: 20 }, task));
          assert.ok(ends.had > 0 && ends.aborted > 0, JSON.stringify(ends));
          assert.deepEqual(list(), []);
          for (const name of names) hold(name).release();
        });
      },
    },
    {
      name: "waits that ended keep neither descriptors nor mappings",
      needs: "system",
      async run() {
        const [name, free] = [freshKey(), freshKey()];
        const guard = hold(name);
        const before = footprint(process.pid, directory());
        const controller = new AbortController();
        const options = { signal: controller.signal, timeout: Infinity };
        const waits = Array.from({ length: 20 }, (_, i) => [
          watch<unknown>(SingleInstance.acquire(name, i % 2 === 0 ? options : { timeout: i })),
          watch<unknown>(SingleInstance.connect(free, i % 2 === 0 ? options : { timeout: i })),
        ]).flat();
        await setTimeout(5);
        controller.abort();
        await until(() => waits.every(({ state }) => state === "rejected"), "all have ended");
        for (let i = 0; i < 50; i++) {
          assert.equal(SingleInstance.tryAcquire(name), undefined);
          assert.throws(() => SingleInstance.tryAcquire(name, { data: NaN }), TypeError);
          await rejectionOf(SingleInstance.connect(free));
          (await SingleInstance.connect(name)).close();
        }
        assert.deepEqual(footprint(process.pid, directory()), before);
        guard.release();
        const { descriptors, mappings } = footprint(process.pid, directory());
        assert.deepEqual([descriptors.filter((path) => path.includes("/i-")), mappings], [[], []]);
      },
    },
    {
      name: "acquire() gets the guard when another process releases it, and connect() finds that one meanwhile",
      needs: "system",
      async run() {
        const name = freshKey();
        await using peer = await startPeer();
        const connecting = SingleInstance.connect(name, WATCHDOG);
        await peer.run(async ({ SingleInstance }, state, name) => {
          state.guard = await SingleInstance.acquire(name, { args: ["peer"], data: "there" });
        }, name);
        using running = await connecting;
        assert.deepEqual([running.info.pid, running.info.data, running.info.args], [peer.pid, "there", ["peer"]]);
        const error = await refusalOf(SingleInstance.acquire(name));
        assert.equal(error.pid, peer.pid);
        assert.match(error.message, new RegExp(`: process ${peer.pid} holds it, started .*Z: peer$`));
        const waiting = watch(SingleInstance.acquire(name, { timeout: Infinity }));
        for (let i = 0; i < 20; i++) {
          await setTimeout(1);
          assert.equal(waiting.state, "pending");
        }
        await peer.run((_, state) => state.guard.release());
        await until(() => waiting.state === "fulfilled", "released there, held here");
        assert.equal(waiting.value!.recovered, false);
        const there = await peer.run(({ SingleInstance }, _, name) =>
          SingleInstance.acquire(name).then(() => "held", ({ code, pid }) => [code, pid]), name);
        assert.deepEqual(there, ["AlreadyRunning", process.pid]);
        waiting.value!.release();
        assert.deepEqual(list(), []);
      },
    },
    {
      name: "who waits here and who waits in another process take turns, never two at once",
      needs: "system",
      async run() {
        const [name, count] = [freshKey(), freshKey()];
        using memory = SharedMemory.create(count, 2);
        await using peer = await startPeer();
        const guard = hold(name);
        const there = peer.run(async ({ SingleInstance, SharedMemory }, _, [name, count]) => {
          using memory = SharedMemory.attach(count);
          await Promise.all(Array.from({ length: 10 }, async () => {
            using _guard = await SingleInstance.acquire(name, { timeout: 60_000 });
            const [inside, turns] = memory.read() as unknown as [number, number];
            if (inside !== 0) throw new Error("two at once");
            memory.write(Uint8Array.of(1, turns));
            await new Promise((resolve) => setTimeout(resolve, 1));
            memory.write(Uint8Array.of(0, turns + 1));
          }));
        }, [name, count] as [string, string]);
        const here = Array.from({ length: 10 }, async () => {
          using _guard = await SingleInstance.acquire(name, WATCHDOG);
          const [inside, turns] = memory.read() as unknown as [number, number];
          assert.equal(inside, 0);
          memory.write(Uint8Array.of(1, turns));
          await setTimeout(1);
          memory.write(Uint8Array.of(0, turns + 1));
        });
        await until(() => attached(name) === 21, "all wait");
        guard.release();
        await Promise.all([...here, there]);
        assert.deepEqual([...memory.read()], [0, 20]);
      },
    },
    {
      name: "who waits on a file that was removed from outside gets the guard after its holder and after the next one",
      needs: "system",
      async run() {
        const name = freshKey();
        const guard = hold(name);
        const waiting = watch(SingleInstance.acquire(name, { timeout: Infinity }));
        await setImmediate();
        unlinkSync(inspect("instance", name)!.path);
        const next = hold(name); // nothing stands at the name any more
        guard.release();
        for (let i = 0; i < 30; i++) {
          await setTimeout(1);
          assert.equal(waiting.state, "pending");
        }
        next.release();
        await until(() => waiting.state === "fulfilled", "its turn");
        assert.equal(SingleInstance.tryAcquire(name), undefined);
        waiting.value!.release();
        assert.deepEqual(list(), []);
      },
    },
    {
      name: "who waits on a file that was removed from outside does not wait for its former holder",
      needs: "system",
      async run() {
        const name = freshKey();
        using _unseen = hold(name);
        const waiting = watch(SingleInstance.acquire(name, { timeout: 300 }));
        await setImmediate();
        unlinkSync(inspect("instance", name)!.path);
        hold(name).release(); // the name is free: whoever comes anew has it
        await until(() => waiting.state !== "pending", "an end");
        assert.equal(waiting.state, "fulfilled", `${waiting.reason}`);
        waiting.value!.release();
      },
    },
    {
      name: "acquire() in the midst of others' ends reports what is there: AlreadyRunningError or the guard",
      async run() {
        const name = freshKey();
        for (let i = 0; i < 50; i++) {
          const guard = hold(name);
          const waits = [0, 1, 2, Infinity].map(async (timeout) => {
            const result = await SingleInstance.acquire(name, { timeout }).catch((error: unknown) => error);
            if (result instanceof SingleInstance) result.release();
            else assert.ok(result instanceof AlreadyRunningError, `${result}`);
            return result;
          });
          if (i % 2 === 0) await setImmediate();
          guard.release();
          const results = await Promise.all(waits);
          assert.ok(results[0] instanceof AlreadyRunningError);
          assert.ok(results[3] instanceof SingleInstance);
        }
        assert.deepEqual(list(), []);
      },
    },
  ],
};

/** A reason that looks like an error of the library. */
class AlreadyRunningErrorLike {
  readonly code = "AlreadyRunning";
}
