/** SystemSemaphore: permits that are taken, given back, consumed and added; who gets them next; and how waits end. */

import assert from "node:assert/strict";
import { setImmediate, setTimeout } from "node:timers/promises";
import {
  inspect,
  list,
  OutOfResourcesError,
  type Permit,
  QshmError,
  remove,
  SystemSemaphore,
} from "../../../mod.ts";
import { poke } from "../../support/kernel.ts";
import { freshKey, type Suite } from "../case.ts";
import {
  assertDomException,
  countListeners,
  countTimers,
  errorOf,
  type Fate,
  microtasks,
  rejectionOf,
  thrownBy,
  until,
  watch,
} from "../helpers.ts";
import { killPeer, startPeer, startPeers } from "../peers.ts";
import { randomBytes, withRandom, withRandomAsync } from "../random.ts";

/** Ends what would otherwise be a hang; no case gets near it. */
const WATCHDOG = { timeout: 60_000 };
const MOST = 2 ** 31 - 1;
/** Attachments of one semaphore that may hold permits, and that may wait for them. */
const RECORDS = 256;

/** Where things stand in a semaphore's file. */
const TOTAL = 384;
const MAX = 400;
const PART = 8192;

/** Two objects of one semaphore. */
function pair(initial: number): Disposable & { one: SystemSemaphore; two: SystemSemaphore } {
  const one = SystemSemaphore.open(freshKey(), { initial });
  const two = SystemSemaphore.open(one.key);
  return {
    one,
    two,
    [Symbol.dispose]() {
      one.close();
      two.close();
    },
  };
}

function queued({ key }: SystemSemaphore): number {
  return inspect("semaphore", key)!.semaphore!.queued;
}

async function settled<T>(fate: Fate<T>): Promise<T> {
  await until(() => fate.state !== "pending", "settled");
  if (fate.state === "rejected") throw fate.reason;
  return fate.value!;
}

export const semaphore: Suite = {
  name: "semaphore",
  cases: [
    {
      name: "open() creates it with 1 permit, or attaches to what is there; an existing one keeps its own numbers",
      run() {
        using one = SystemSemaphore.open(freshKey());
        assert.equal(one.available, 1);
        using two = SystemSemaphore.open(one.key, { initial: 5, max: 10 });
        assert.deepEqual([two.available, two.key, two.path], [1, one.key, one.path]);
        two.release(20);
        assert.equal(one.available, 21);
        using full = SystemSemaphore.open(freshKey(), { initial: 7, max: 7 });
        using other = SystemSemaphore.open(full.key);
        assert.equal(other.available, 7);
        assert.throws(() => other.release(), RangeError);
        using none = SystemSemaphore.open(freshKey(), { initial: 0 });
        assert.deepEqual([none.available, none.tryAcquire()], [0, undefined]);
        using most = SystemSemaphore.open(freshKey(), { initial: MOST });
        assert.equal(most.available, MOST);
        most.tryAcquire(MOST)!.release();
        assert.equal(most.available, MOST);
      },
    },
    {
      name: "open() refuses numbers and options that are none, and creates nothing",
      run() {
        for (const value of [-1, 0.5, NaN, Infinity, 2 ** 31, 2 ** 53]) {
          for (const name of ["initial", "max"]) {
            assert.throws(() => SystemSemaphore.open(freshKey(), { [name]: value }), RangeError, `${name} ${value}`);
          }
        }
        for (const value of ["1", 1n, null, {}, [1], true]) {
          for (const name of ["initial", "max"]) {
            assert.throws(() => SystemSemaphore.open(freshKey(), { [name]: value } as never), TypeError);
          }
        }
        assert.throws(() => SystemSemaphore.open(freshKey(), { max: 0 }), RangeError);
        assert.throws(() => SystemSemaphore.open(freshKey(), { initial: 3, max: 2 }), {
          name: "RangeError",
          message: "Initial must be a whole number from 0 to 2: got 3",
        });
        for (const options of [null, 1, "x", [], { count: 1 }, { Initial: 1 }, { persistent: 1 }]) {
          assert.throws(() => SystemSemaphore.open(freshKey(), options as never), TypeError);
        }
        assert.throws(() => SystemSemaphore.open(freshKey(), { mode: 0o666 }), RangeError);
        for (const key of ["", "a\0", "\ud800", 1, undefined] as never[]) {
          assert.throws(() => SystemSemaphore.open(key), TypeError);
        }
        const error = errorOf(() => SystemSemaphore.open("a", { directory: "/nonexistent/qshm" }));
        assert.equal(error.code, "DirectoryNotFound");
        assert.throws(() => new (SystemSemaphore as unknown as new () => unknown)(), Error);
        assert.deepEqual(list(), []);
      },
    },
    {
      name: "acquire(), tryAcquire() and acquireSync() take permits at once where they are free, and release() gives them back",
      async run() {
        using place = pair(5);
        const { one, two } = place;
        const ways: ((count: number) => Permit | Promise<Permit>)[] = [
          (count) => one.acquire({ count }),
          (count) => one.tryAcquire(count)!,
          (count) => one.acquireSync({ count }),
          (count) => one.acquireSync({ count, timeout: 0 }),
          (count) => one.acquire({ count, timeout: 0 }),
        ];
        for (const take of ways) {
          for (const count of [1, 2, 5]) {
            const taking = take(count);
            assert.deepEqual([one.available, two.available], [5 - count, 5 - count], "before it returns");
            const permit = await taking;
            assert.equal(permit.count, count);
            assert.equal(permit.release(), undefined);
            assert.equal(two.available, 5);
          }
        }
        for (const permit of [await one.acquire(), one.tryAcquire()!, one.acquireSync()]) {
          assert.equal(permit.count, 1);
          permit.release();
        }
        for (const timeout of [0, 0.5, 2 ** 31, 2 ** 53, Number.MAX_VALUE, Infinity]) {
          (await one.acquire({ timeout })).release();
          one.acquireSync({ timeout }).release();
        }
      },
    },
    {
      name: "permits are all or none: too few that are free are left alone",
      async run() {
        using place = pair(3);
        const { one, two } = place;
        assert.equal(one.tryAcquire(4), undefined);
        assert.equal(one.available, 3);
        assertDomException(thrownBy(() => one.acquireSync({ count: 4, timeout: 0 })), "TimeoutError");
        const held = two.tryAcquire(2)!;
        const waiting = watch(one.acquire({ count: 2, ...WATCHDOG }));
        for (let i = 0; i < 10; i++) {
          await setTimeout(1);
          assert.deepEqual([waiting.state, one.available], ["pending", 1]);
        }
        held.release();
        assert.equal((await settled(waiting)).count, 2);
        assert.equal(two.available, 1);
        waiting.value!.release();
      },
    },
    {
      name: "a Permit ends once: release(), forget() and dispose again are nothing, whichever came first",
      run() {
        using place = pair(10);
        const { one, two } = place;
        const ends: ((permit: Permit) => void)[] = [
          (permit) => permit.release(),
          (permit) => permit[Symbol.dispose](),
          (permit) => permit.forget(),
        ];
        let total = 10;
        for (const [first, end] of ends.entries()) {
          const permit = one.tryAcquire(2)!;
          const other = one.tryAcquire(3)!;
          assert.equal(two.available, total - 5);
          end(permit);
          if (first === 2) total -= 2;
          assert.equal(two.available, total - 3);
          for (const again of [...ends, ...ends]) again(permit);
          assert.deepEqual([two.available, permit.count], [total - 3, 2]);
          other.release();
          assert.equal(two.available, total);
        }
      },
    },
    {
      name: "a Permit is released at the end of a `using` block, also when that throws; not when it was forgotten inside",
      async run() {
        using semaphore = SystemSemaphore.open(freshKey(), { initial: 2 });
        {
          using _permit = await semaphore.acquire();
          assert.equal(semaphore.available, 1);
        }
        assert.equal(semaphore.available, 2);
        assert.throws(() => {
          using _permit = semaphore.tryAcquire(2);
          throw new SyntaxError("inside");
        }, SyntaxError);
        assert.equal(semaphore.available, 2);
        {
          using permit = semaphore.acquireSync();
          permit.forget();
        }
        assert.equal(semaphore.available, 1);
      },
    },
    {
      name: "permits come back when their object is closed, but not those that were forgotten; what was added stays",
      run() {
        using two = SystemSemaphore.open(freshKey(), { initial: 10 });
        const one = SystemSemaphore.open(two.key);
        const kept = one.tryAcquire(3)!;
        const forgotten = one.tryAcquire(2)!;
        forgotten.forget();
        one.release(4);
        assert.equal(two.available, 9);
        one.close();
        assert.equal(two.available, 12);
        kept.release();
        kept.forget();
        forgotten.release();
        assert.equal(two.available, 12, "nothing of a closed object does anything");
      },
    },
    {
      name: "release() adds permits, up to max, counting those that are held",
      run() {
        using semaphore = SystemSemaphore.open(freshKey(), { initial: 1, max: 5 });
        semaphore.release();
        semaphore.release(2);
        assert.equal(semaphore.available, 4);
        const held = semaphore.tryAcquire(3)!;
        for (const count of [2, 5, 6, MOST]) {
          assert.throws(() => semaphore.release(count), {
            name: "RangeError",
            message: `Cannot release ${count} of semaphore "${semaphore.key}": there would be more than its max, 5`,
          });
        }
        assert.equal(semaphore.available, 1);
        semaphore.release();
        assert.throws(() => semaphore.release(), RangeError);
        held.forget();
        semaphore.release(3);
        assert.equal(semaphore.available, 5);
        using large = SystemSemaphore.open(freshKey(), { initial: MOST });
        assert.throws(() => large.release(), RangeError);
      },
    },
    {
      name: "count is refused where it is none, or more than there may ever be; nothing is taken",
      async run() {
        using semaphore = SystemSemaphore.open(freshKey(), { initial: 2, max: 3 });
        const calls: [(count: never) => unknown, number][] = [
          [(count) => semaphore.acquire({ count }), 3],
          [(count) => semaphore.acquire({ count, timeout: 0 }), 3],
          [(count) => semaphore.tryAcquire(count), 3],
          [(count) => semaphore.acquireSync({ count, timeout: 0 }), 3],
          [(count) => semaphore.release(count), MOST],
        ];
        for (const [call, most] of calls) {
          const errorFor = (count: unknown): Promise<unknown> => rejectionOf((async () => await call(count as never))());
          for (const count of [0, -0, -1, 0.5, NaN, Infinity, 4, 2 ** 31, 2 ** 53]) {
            if (count === 4 && most === MOST) continue;
            const error = await errorFor(count);
            assert.ok(error instanceof RangeError, `${count}: ${error}`);
            assert.match(error.message, new RegExp(`^Count must be a whole number from 1 to ${most}: got `));
          }
          for (const count of ["1", 1n, null, {}, [1], true]) {
            assert.ok(await errorFor(count) instanceof TypeError, `${count}`);
          }
        }
        assert.deepEqual([semaphore.available, queued(semaphore)], [2, 0]);
      },
    },
    {
      name: "acquire() and acquireSync() refuse options of the wrong kind, and take nothing",
      async run() {
        using semaphore = SystemSemaphore.open(freshKey());
        const wrong: [unknown, typeof TypeError | typeof RangeError][] = [
          [{ timeout: -1 }, RangeError],
          [{ timeout: NaN }, RangeError],
          [{ timeout: "1" }, TypeError],
          [{ timeout: null }, TypeError],
          [{ counts: 1 }, TypeError],
          [{ initial: 1 }, TypeError],
          [null, TypeError],
          [1, TypeError],
          [[], TypeError],
        ];
        for (const [options, Class] of wrong) {
          assert.ok(await rejectionOf(semaphore.acquire(options as never)) instanceof Class);
          assert.throws(() => semaphore.acquireSync(options as never), Class);
        }
        for (const options of [{ signal: {} }, { signal: null }, { ref: 1 }]) {
          assert.ok(await rejectionOf(semaphore.acquire(options as never)) instanceof TypeError);
        }
        for (const options of [{ signal: new AbortController().signal }, { ref: false }]) {
          assert.throws(() => semaphore.acquireSync(options as never), TypeError);
        }
        assert.equal(semaphore.available, 1);
      },
    },
    {
      name: "acquire() is served in the order in which tasks of one object asked, few or many",
      async run() {
        using semaphore = SystemSemaphore.open(freshKey(), { initial: 3 });
        const held = semaphore.tryAcquire(3)!;
        const order: number[] = [];
        const tasks = Array.from({ length: 60 }, async (_, i) => {
          using _permit = await semaphore.acquire({ count: 1 + i % 3, ...WATCHDOG });
          order.push(i);
          if (i % 10 === 0) await setImmediate();
        });
        assert.equal(semaphore.tryAcquire(), undefined);
        await setImmediate();
        assert.deepEqual([order, queued(semaphore)], [[], 1]);
        held.release();
        await Promise.all(tasks);
        assert.deepEqual(order, Array.from({ length: 60 }, (_, i) => i));
        assert.deepEqual([semaphore.available, queued(semaphore)], [3, 0]);
      },
    },
    {
      name: "objects are served in the order in which they asked: one that asks for many is not passed by",
      async run() {
        using holder = SystemSemaphore.open(freshKey(), { initial: 4 });
        const held = [1, 2, 3, 4].map(() => holder.tryAcquire()!);
        const objects = [4, 1, 3, 1, 2].map((count) => ({ count, object: SystemSemaphore.open(holder.key) }));
        const fates = objects.map(({ count, object }) => watch(object.acquire({ count, ...WATCHDOG })));
        assert.equal(queued(holder), 5);
        for (const permit of held.slice(1)) {
          permit.release();
          for (let i = 0; i < 5; i++) {
            assert.equal(holder.tryAcquire(), undefined, "those who wait come first");
            await setTimeout(2);
            assert.ok(fates.every(({ state }) => state === "pending"), "and the first of them before all others");
          }
        }
        held[0]!.release();
        for (const fate of fates) void settled(fate).then((permit) => permit.release());
        await until(() => fates.every(({ state }) => state === "fulfilled") && holder.available === 4, "all were served");
        assert.equal(queued(holder), 0);
        for (const { object } of objects) object.close();
      },
    },
    {
      name: "a request that gives up, in whatever way, lets those behind it go on",
      async run() {
        for (const end of ["abort", "timeout", "close"] as const) {
          using holder = SystemSemaphore.open(freshKey(), { initial: 2 });
          using held = holder.tryAcquire();
          const first = SystemSemaphore.open(holder.key);
          using behind = SystemSemaphore.open(holder.key);
          const controller = new AbortController();
          const greedy = watch(first.acquire({
            count: 2,
            ...(end === "abort" && { signal: controller.signal }),
            ...(end === "timeout" && { timeout: 15 }),
          }));
          const own = end === "close" ? undefined : watch(first.acquire(WATCHDOG));
          const other = watch(behind.acquire(WATCHDOG));
          await microtasks();
          assert.deepEqual([greedy.state, own?.state ?? "pending", other.state], Array(3).fill("pending"), end);
          if (end === "abort") controller.abort("why");
          if (end === "close") first.close();
          await until(() => greedy.state !== "pending", "given up");
          assert.equal(greedy.state, "rejected");
          if (own !== undefined) (await settled(own)).release();
          (await settled(other)).release();
          assert.equal(held!.count, 1);
          first.close();
          assert.deepEqual([holder.available, queued(holder)], [1, 0]);
        }
      },
    },
    {
      name: "acquireSync() beside tasks of its object that wait: they go on waiting, and get their turn",
      async run() {
        using holder = SystemSemaphore.open(freshKey(), { initial: 2 });
        const held = holder.tryAcquire(2)!;
        using object = SystemSemaphore.open(holder.key);
        const fates = [1, 2].map((count) => watch(object.acquire({ count, ...WATCHDOG })));
        await setImmediate();
        assertDomException(thrownBy(() => object.acquireSync({ timeout: 1 })), "TimeoutError");
        await microtasks();
        assert.deepEqual([fates.map(({ state }) => state), queued(holder)], [["pending", "pending"], 1]);
        held.release();
        object.acquireSync({ count: 2, ...WATCHDOG }).release();
        for (const fate of fates) (await settled(fate)).release();
        assert.deepEqual([holder.available, queued(holder)], [2, 0]);
      },
    },
    {
      name: "acquire() is rejected with TimeoutError when the time is up, and not before; in the same turn with 0",
      async run() {
        using semaphore = SystemSemaphore.open(freshKey(), { initial: 0 });
        const now = watch(semaphore.acquire({ timeout: 0 }));
        await microtasks();
        assert.equal(now.state, "rejected");
        for (const timeout of [0, 1, 4.5, 40]) {
          const start = performance.now();
          assertDomException(
            await rejectionOf(semaphore.acquire({ timeout })),
            "TimeoutError",
            new RegExp(`^Timed out after ${timeout} ms waiting for permits of semaphore "${semaphore.key}"$`),
          );
          assert.ok(performance.now() - start >= timeout, `${performance.now() - start} >= ${timeout}`);
        }
        const order: number[] = [];
        await Promise.all([60, 20, 40, 0].map(async (timeout) => {
          assertDomException(await rejectionOf(semaphore.acquire({ timeout })), "TimeoutError");
          order.push(timeout);
        }));
        assert.deepEqual([order, queued(semaphore)], [[0, 20, 40, 60], 0]);
        semaphore.release();
        assert.equal(semaphore.available, 1, "no claim is left");
      },
    },
    {
      name: "acquireSync() throws TimeoutError when the time is up, and not before, and leaves no claim",
      run() {
        using semaphore = SystemSemaphore.open(freshKey(), { initial: 1 });
        for (const timeout of [0, 0.5, 1, 4.5, 40]) {
          const start = performance.now();
          assertDomException(
            thrownBy(() => semaphore.acquireSync({ timeout, count: 2 })),
            "TimeoutError",
            new RegExp(`^Timed out after ${timeout} ms waiting for permits of semaphore "${semaphore.key}"$`),
          );
          assert.ok(performance.now() - start >= timeout, `${performance.now() - start} >= ${timeout}`);
          assert.equal(queued(semaphore), 0);
          semaphore.tryAcquire()!.release();
        }
      },
    },
    {
      name: "acquire() waits without an end by default, and with a timeout beyond what timers take; the loop turns",
      async run() {
        using semaphore = SystemSemaphore.open(freshKey(), { initial: 0 });
        const fates = [undefined, Infinity, 2 ** 31, 2 ** 32 + 5, Number.MAX_VALUE]
          .map((timeout) => watch(semaphore.acquire({ timeout } as never)));
        for (let i = 0; i < 20; i++) {
          await setTimeout(1);
          for (const { state } of fates) assert.equal(state, "pending");
        }
        semaphore.release(5);
        for (const fate of fates) (await settled(fate)).forget();
        assert.equal(semaphore.available, 0);
      },
    },
    {
      name: "acquire() with a signal: its reason, in the turn of the abort, nothing taken, and no listener left",
      async run() {
        using place = pair(1);
        const { one, two } = place;
        for (const reason of ["a string", 0, null, new SyntaxError("mine")]) {
          assert.equal(await rejectionOf(one.acquire({ signal: AbortSignal.abort(reason) })), reason);
          assert.equal(one.available, 1);
          const held = two.tryAcquire()!;
          const controller = new AbortController();
          const listeners = countListeners(controller.signal);
          const fates = [1, 2].map(() => watch(one.acquire({ signal: controller.signal })));
          const stays = watch(one.acquire(WATCHDOG));
          await setImmediate();
          assert.equal(listeners.count, 2);
          controller.abort(reason);
          await microtasks();
          for (const fate of fates) assert.deepEqual([fate.state, fate.reason], ["rejected", reason]);
          assert.deepEqual([listeners.count, stays.state], [0, "pending"]);
          held.release();
          (await settled(stays)).release();
        }
        const { signal } = new AbortController();
        const listeners = countListeners(signal);
        (await one.acquire({ signal })).release();
        await rejectionOf(one.acquire({ signal, count: 0 }));
        const held = two.tryAcquire()!;
        await rejectionOf(one.acquire({ signal, timeout: 2 }));
        const waiting = one.acquire({ signal });
        held.release();
        (await waiting).release();
        assert.equal(listeners.count, 0);
      },
    },
    {
      name: "an abort and a release in one turn lose neither a permit nor one who waits",
      async run() {
        using semaphore = SystemSemaphore.open(freshKey(), { initial: 1 });
        for (const abortFirst of [true, false]) {
          const held = semaphore.tryAcquire()!;
          const controller = new AbortController();
          const aborted = watch(semaphore.acquire({ signal: controller.signal }));
          const next = watch(semaphore.acquire(WATCHDOG));
          const steps = [() => controller.abort(), () => held.release()];
          for (const step of abortFirst ? steps : steps.reverse()) step();
          await microtasks();
          assert.equal(aborted.state, "rejected");
          (await settled(next)).release();
          assert.equal(semaphore.available, 1);
        }
      },
    },
    {
      name: "close() rejects all who wait with AbortError in the same turn; closing again is nothing, all else a TypeError",
      async run() {
        using other = SystemSemaphore.open(freshKey(), { initial: 0 });
        const semaphore = SystemSemaphore.open(other.key);
        const { signal } = new AbortController();
        const listeners = countListeners(signal);
        using timers = countTimers();
        const fates = [1, 2, 3].map(() => watch(semaphore.acquire({ signal })));
        await setImmediate();
        assert.equal(semaphore.close(), undefined);
        await microtasks();
        const message = new RegExp(`^Detached from semaphore "${other.key}" while waiting$`);
        for (const { reason } of fates) assertDomException(reason, "AbortError", message);
        assert.deepEqual([listeners.count, timers.count, queued(other)], [0, 0, 0]);
        semaphore.close();
        semaphore[Symbol.dispose]();
        assert.deepEqual([semaphore.key, semaphore.path], [other.key, other.path]);
        const calls = [
          () => semaphore.available,
          () => semaphore.tryAcquire(),
          () => semaphore.tryAcquire(0),
          () => semaphore.acquireSync(),
          () => semaphore.acquireSync({ timeout: 0 }),
          () => semaphore.release(),
        ];
        for (const f of calls) {
          assert.throws(f, { name: "TypeError", message: /^Cannot .* semaphore ".*": it is detached$/ }, f.toString());
        }
        assert.ok(await rejectionOf(semaphore.acquire()) instanceof TypeError);
      },
    },
    {
      name: "the last close() removes a semaphore; a persistent one keeps its permits and max until remove()",
      run() {
        const key = freshKey();
        SystemSemaphore.open(key, { initial: 3 }).close();
        assert.deepEqual(list(), []);
        {
          using semaphore = SystemSemaphore.open(key, { initial: 3, max: 9, persistent: true });
          semaphore.tryAcquire(2)!.forget();
          semaphore.release(4);
          semaphore.tryAcquire(3);
        }
        const { state, persistent, semaphore: info } = inspect("semaphore", key)!;
        assert.deepEqual([state, persistent, info], ["dead", true, { available: 5, total: 5, max: 9, queued: 0 }]);
        {
          using again = SystemSemaphore.open(key, { initial: 1, max: 1 });
          assert.equal(again.available, 5);
          assert.throws(() => again.release(5), RangeError);
          again.release(4);
        }
        assert.equal(inspect("semaphore", key)?.semaphore?.available, 9);
        assert.equal(remove("semaphore", key), true);
        using fresh = SystemSemaphore.open(key);
        assert.equal(fresh.available, 1);
      },
    },
    {
      name: "inspect() and list() tell of permits and of those who wait",
      async run() {
        using place = pair(5);
        const { one, two } = place;
        const look = (): unknown => inspect("semaphore", one.key)!.semaphore;
        assert.deepEqual(look(), { available: 5, total: 5, max: MOST, queued: 0 });
        const held = one.tryAcquire(4)!;
        assert.deepEqual(look(), { available: 1, total: 5, max: MOST, queued: 0 });
        const waiting = [one, two].map((object) => object.acquire({ count: 3, ...WATCHDOG }));
        assert.deepEqual(look(), { available: 1, total: 5, max: MOST, queued: 2 });
        held.forget();
        assert.deepEqual(look(), { available: 1, total: 1, max: MOST, queued: 2 });
        one.release(5);
        for (const permit of await Promise.all(waiting)) permit.release();
        assert.deepEqual(look(), { available: 6, total: 6, max: MOST, queued: 0 });
        const info = inspect("semaphore", one.key)!;
        assert.deepEqual([info.kind, info.key, info.state, info.value], ["semaphore", one.key, "live", undefined]);
        assert.ok(info.revision > 0);
        assert.deepEqual(list().map(({ semaphore }) => semaphore?.total), [6]);
      },
    },
    {
      name: "256 objects hold permits and 256 wait for them; one more is told so by OutOfResourcesError",
      async run() {
        using semaphore = SystemSemaphore.open(freshKey(), { initial: 1000 });
        const objects = Array.from({ length: RECORDS }, () => SystemSemaphore.open(semaphore.key));
        const held = objects.map((object) => object.tryAcquire()!);
        for (const error of [errorOf(() => semaphore.tryAcquire()), await rejectionOf(semaphore.acquire())]) {
          assert.ok(error instanceof OutOfResourcesError, `${error}`);
          assert.deepEqual([error.code, error.operation], ["OutOfResources", "acquire"]);
        }
        objects[0]!.tryAcquire()!.release();
        held[7]!.release();
        const permit = semaphore.tryAcquire()!;
        assert.equal(objects[7]!.available, 1000 - RECORDS);
        permit.release();
        const controller = new AbortController();
        const greedy = { count: 2000, signal: controller.signal };
        const fates = objects.map((object) => watch(object.acquire(greedy)));
        const refused = await rejectionOf(semaphore.acquire({ count: 2000 }));
        assert.ok(refused instanceof OutOfResourcesError, `${refused}`);
        assert.equal(queued(semaphore), RECORDS);
        controller.abort();
        await microtasks();
        assert.ok(fates.every(({ state }) => state === "rejected"));
        assert.equal(queued(semaphore), 0);
        for (const object of objects) object.close();
        assert.equal(semaphore.available, 1000);
      },
    },
    {
      name: "no more are ever inside than there are permits, and none is lost, whatever many tasks of many objects do",
      run() {
        return withRandomAsync(async (random) => {
          const key = freshKey();
          const objects = Array.from({ length: 5 }, () => SystemSemaphore.open(key, { initial: 4 }));
          let inside = 0;
          const ends = { had: 0, timeout: 0, aborted: 0 };
          await Promise.all(Array.from({ length: 200 }, async () => {
            const object = random.of(objects);
            const count = 1 + random.below(4);
            const controller = new AbortController();
            const reason = Symbol("reason");
            const [begin, moment, stay] = [random.below(60), random.below(100), random.below(3)];
            const timeout = random.of([0, 20, Infinity, Infinity]);
            await setTimeout(begin);
            const aborting = setTimeout(moment).then(() => controller.abort(reason));
            try {
              using permit = await object.acquire({ count, timeout, signal: controller.signal });
              inside += count;
              assert.equal(permit.count, count);
              assert.ok(inside <= 4, `${inside} inside`);
              await setTimeout(stay);
              inside -= count;
              ends.had++;
            } catch (error) {
              if (error === reason) ends.aborted++;
              else if ((error as Error).name === "TimeoutError") ends.timeout++;
              else throw error;
            }
            await aborting;
          }));
          assert.ok(ends.had > 0, JSON.stringify(ends));
          assert.deepEqual([objects[0]!.available, queued(objects[0]!)], [4, 0]);
          for (const object of objects) object.close();
        });
      },
    },
    {
      name: "acquire() with ref: false is served as well",
      async run() {
        using place = pair(0);
        const alive = setInterval(() => {}, 1000); // such a wait keeps no process alive
        const waiting = place.one.acquire({ ref: false, ...WATCHDOG });
        place.two.release();
        (await waiting).forget();
        clearInterval(alive);
      },
    },
    {
      name: "processes of each runtime hand permits to and fro, here and there",
      needs: "system",
      async run() {
        using here = SystemSemaphore.open(freshKey(), { initial: 0 });
        using there = SystemSemaphore.open(freshKey(), { initial: 0 });
        await using others = await startPeers();
        for (const peer of others.peers) {
          await peer.run(({ SystemSemaphore }, state, [take, give]) => {
            state.working = (async () => {
              using from = SystemSemaphore.open(take!);
              using to = SystemSemaphore.open(give!);
              for (let i = 0; i < 50; i++) {
                (i % 2 === 0 ? await from.acquire({ timeout: 60_000 }) : from.acquireSync({ timeout: 60_000 })).forget();
                to.release();
              }
            })();
          }, [there.key, here.key]);
          for (let i = 0; i < 50; i++) {
            there.release();
            (i % 3 === 0 ? here.acquireSync(WATCHDOG) : await here.acquire(WATCHDOG)).forget();
          }
          await peer.run((_, { working }) => working);
          assert.deepEqual([here.available, there.available], [0, 0], peer.runtime);
        }
      },
    },
    {
      name: "processes are served in the order in which they asked: one that asks for many is not passed by",
      needs: "system",
      async run() {
        using semaphore = SystemSemaphore.open(freshKey(), { initial: 3 });
        const held = semaphore.tryAcquire()!;
        await using others = await startPeers();
        for (const [i, peer] of others.peers.entries()) {
          await peer.run(({ SystemSemaphore }, state, [key, count]) => {
            state.done = SystemSemaphore.open(key as string).acquire({ count: count as number, timeout: 60_000 })
              .then((permit) => permit.release());
          }, [semaphore.key, i === 0 ? 3 : 1] as const);
        }
        const here = watch(semaphore.acquire(WATCHDOG));
        for (let i = 0; i < 20; i++) {
          await setTimeout(2);
          assert.deepEqual([here.state, semaphore.available, queued(semaphore)], ["pending", 2, others.peers.length + 1]);
          assert.equal(semaphore.tryAcquire(), undefined);
        }
        held.release();
        for (const peer of others.peers) await peer.run((_, { done }) => done);
        (await settled(here)).release();
        assert.deepEqual([semaphore.available, queued(semaphore)], [3, 0]);
      },
    },
    {
      name: "permits of a process that is killed come back, once; forgotten ones do not, and added ones stay",
      needs: "system",
      async run() {
        using semaphore = SystemSemaphore.open(freshKey(), { initial: 10 });
        await using others = await startPeers();
        let total = 10;
        for (const peer of others.peers) {
          await peer.run(({ SystemSemaphore }, _, key) => {
            const semaphore = SystemSemaphore.open(key);
            semaphore.tryAcquire(5);
            semaphore.tryAcquire(2)!.forget();
            semaphore.release(3);
            void semaphore.acquire({ count: 100 });
          }, semaphore.key);
          total += 1;
          assert.deepEqual([semaphore.available, queued(semaphore)], [total - 5, 1], peer.runtime);
          const waiting = watch(semaphore.acquire({ count: total, ...WATCHDOG }));
          for (let i = 0; i < 10; i++) {
            await setTimeout(1);
            assert.equal(waiting.state, "pending");
          }
          await killPeer(peer);
          (await settled(waiting)).release();
          assert.deepEqual([semaphore.available, queued(semaphore)], [total, 0], peer.runtime);
          assert.equal(inspect("semaphore", semaphore.key)?.semaphore?.total, total);
        }
      },
    },
    {
      name: "a process that ends in order gives back what it holds, and leaves the queue",
      needs: "system",
      async run() {
        using semaphore = SystemSemaphore.open(freshKey(), { initial: 3 });
        await using peer = await startPeer();
        await peer.run(({ SystemSemaphore }, _, key) => {
          const semaphore = SystemSemaphore.open(key);
          semaphore.tryAcquire(2);
          void semaphore.acquire({ count: 3, ref: false });
        }, semaphore.key);
        assert.deepEqual([semaphore.available, queued(semaphore)], [1, 1]);
        const waiting = watch(semaphore.acquire({ count: 3, ...WATCHDOG }));
        await peer.end();
        (await settled(waiting)).release();
        assert.equal(semaphore.available, 3);
      },
    },
    {
      name: "a process that is stopped in the queue does not keep those up for whom there is enough",
      needs: "system",
      async run() {
        using semaphore = SystemSemaphore.open(freshKey(), { initial: 1 });
        const held = semaphore.tryAcquire()!;
        await using peer = await startPeer();
        await peer.run(({ SystemSemaphore }, _, key) => {
          const semaphore = SystemSemaphore.open(key);
          void semaphore.acquire().then((permit) => permit.release());
        }, semaphore.key);
        assert.equal(queued(semaphore), 1);
        const { stopped } = await import("../../support/stopped.ts");
        peer.signal("SIGSTOP");
        await stopped(peer.pid);
        const waiting = watch(semaphore.acquire(WATCHDOG));
        held.release();
        (await settled(waiting)).release();
        peer.signal("SIGCONT");
        await until(() => queued(semaphore) === 0, "it had its turn");
        await until(() => semaphore.available === 1, "and gave it back");
      },
    },
    {
      name: "garbage in the words of a semaphore gives answers, or typed errors, whatever it is: no crash, no hang",
      needs: "system",
      run() {
        return withRandomAsync(async (random) => {
          const known = (error: unknown): boolean =>
            error instanceof QshmError || error instanceof TypeError || error instanceof RangeError ||
            (error instanceof DOMException && ["TimeoutError", "AbortError"].includes(error.name));
          const quietly = (f: () => unknown): void => {
            try {
              f();
            } catch (error) {
              if (!known(error)) throw error;
            }
          };
          const parts = [[TOTAL, 8], [TOTAL, 24], [MAX, 4], [PART, 8], [PART, 2048], [PART + 2048, 4096], [PART, 6144]];
          for (let round = 0; round < 60; round++) {
            const semaphore = SystemSemaphore.open(freshKey(), { initial: 3 });
            const other = SystemSemaphore.open(semaphore.key);
            const permit = semaphore.tryAcquire()!;
            const [at, length] = random.of(parts) as [number, number];
            poke(semaphore.path, at, random.below(4) === 0 ? new Uint8Array(length).fill(255) : randomBytes(random, length));
            const waiting = [1, 2].map((count) => watch(other.acquire({ count, timeout: 5 })));
            quietly(() => assert.ok(semaphore.available >= 0 && semaphore.available <= MOST));
            quietly(() => semaphore.tryAcquire()?.release());
            quietly(() => semaphore.tryAcquire()?.forget());
            quietly(() => semaphore.acquireSync({ timeout: 1 }).release());
            quietly(() => semaphore.release(2));
            quietly(() => permit.release());
            quietly(() => inspect("semaphore", semaphore.key));
            quietly(() => list());
            quietly(() => SystemSemaphore.open(semaphore.key).close());
            await until(() => waiting.every(({ state }) => state !== "pending"), "settled");
            for (const { state, reason } of waiting) assert.ok(state === "fulfilled" || known(reason), `${reason}`);
            semaphore.close();
            other.close();
            remove("semaphore", semaphore.key, { force: true });
          }
        });
      },
    },
    {
      name: "any order of calls on a few objects of one semaphore keeps the count",
      run() {
        withRandom((random) => {
          const key = freshKey();
          const objects = Array.from({ length: 3 }, () => SystemSemaphore.open(key, { initial: 6, max: 20 }));
          let total = 6;
          let held: Permit[] = [];
          for (let step = 0; step < 2000; step++) {
            const object = random.of(objects);
            const free = total - held.reduce((sum, { count }) => sum + count, 0);
            assert.equal(object.available, free);
            const count = 1 + random.below(4);
            const [permit] = held;
            switch (random.below(5)) {
              case 0:
              case 1: {
                const taken = object.tryAcquire(count);
                assert.equal(taken !== undefined, free >= count);
                if (taken !== undefined) held.push(taken);
                break;
              }
              case 2:
                permit?.release();
                held = held.slice(1);
                break;
              case 3:
                permit?.forget();
                total -= permit?.count ?? 0;
                held = held.slice(1);
                break;
              default:
                if (total + count > 20) {
                  assert.throws(() => object.release(count), RangeError);
                } else {
                  object.release(count);
                  total += count;
                }
            }
          }
          for (const object of objects) object.close();
          assert.equal(inspect("semaphore", key), undefined);
        });
      },
    },
  ],
};
