/** The count of changes, and following it: notify, revision, waitForChange, waitForChangeSync, changes(). */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { setImmediate, setTimeout } from "node:timers/promises";
import { inspect, remove, SharedMemory } from "../../../mod.ts";
import { setRevision } from "../../support/kernel.ts";
import { freshKey, type Suite } from "../case.ts";
import {
  assertDomException,
  collectGarbage,
  countListeners,
  countTimers,
  type Fate,
  microtasks,
  rejectionOf,
  thrownBy,
  until,
  watch,
} from "../helpers.ts";
import { directory, killPeer, startPeer, startPeers } from "../peers.ts";
import { withRandomAsync } from "../random.ts";

/** Ends what would otherwise be a hang; no case gets near it. */
const WATCHDOG = { timeout: 60_000 };
const MOST_REVISION = 2 ** 31 - 1;

/** A segment and two attachments. */
function pair(): Disposable & { memory: SharedMemory; other: SharedMemory } {
  const memory = SharedMemory.create(freshKey(), 8);
  const other = SharedMemory.attach(memory.key);
  return {
    memory,
    other,
    [Symbol.dispose]() {
      memory.detach();
      other.detach();
    },
  };
}

async function settled<T>(fate: Fate<T>): Promise<T> {
  await until(() => fate.state !== "pending", "settled");
  if (fate.state === "rejected") throw fate.reason;
  return fate.value!;
}

/** The bells that there are: all attachments' that wait, or have waited. */
function bells(): string[] {
  return readdirSync(directory()).filter((file) => file.startsWith("b.")).sort();
}

function descriptors(): number {
  return readdirSync("/proc/self/fd").length;
}

function threads(): number {
  return Number(/^Threads:\s*(\d+)/m.exec(readFileSync("/proc/self/status", "utf8"))![1]);
}

/** Waits are refused for these options, whatever waits. */
const WRONG_OPTIONS: [unknown, typeof TypeError | typeof RangeError][] = [
  [{ timeout: -1 }, RangeError],
  [{ timeout: NaN }, RangeError],
  [{ timeout: "1" }, TypeError],
  [{ timeout: 1n }, TypeError],
  [{ timeout: null }, TypeError],
  [{ signal: {} }, TypeError],
  [{ signal: null }, TypeError],
  [{ ref: 1 }, TypeError],
  [{ initial: true }, TypeError],
  [null, TypeError],
  [5, TypeError],
  [[], TypeError],
];

/** Ways in which a loop over changes ends; each is given the memory it follows, and gives a promise of the end. */
const ENDS: Readonly<Record<string, (memory: SharedMemory, signal: AbortController) => Promise<void>>> = {
  async break(memory, { signal }) {
    for await (const _ of memory.changes({ initial: true, signal })) break;
  },
  async return(memory, { signal }) {
    await (async () => {
      for await (const revision of memory.changes({ initial: true, signal })) return revision;
      assert.fail("ended");
    })();
  },
  async throw(memory, { signal }) {
    const mine = new Error("mine");
    const looping = (async () => {
      for await (const _ of memory.changes({ initial: true, signal })) throw mine;
    })();
    assert.equal(await rejectionOf(looping), mine);
  },
  async abort(memory, controller) {
    const looping = (async () => {
      for await (const _ of memory.changes({ signal: controller.signal }));
    })();
    await microtasks();
    controller.abort();
    await looping;
  },
  async "abort inside"(memory, controller) {
    for await (const _ of memory.changes({ initial: true, signal: controller.signal })) controller.abort();
  },
  async detach(memory, { signal }) {
    const looping = (async () => {
      for await (const _ of memory.changes({ signal }));
    })();
    await microtasks();
    memory.detach();
    await looping;
  },
  async "detach inside"(memory, { signal }) {
    for await (const _ of memory.changes({ initial: true, signal })) memory.detach();
  },
};

export const changes: Suite = {
  name: "changes",
  cases: [
    {
      name: "revision begins at 0; notify() and each write that is made count one more, for all attachments",
      run() {
        using place = pair();
        const { memory, other } = place;
        const counts = (f: () => unknown, by: number): void => {
          const before = memory.revision;
          f();
          assert.deepEqual([memory.revision, other.revision], [before + by, before + by], f.toString());
        };
        assert.deepEqual([memory.revision, other.revision], [0, 0]);
        counts(() => assert.equal(memory.notify(), undefined), 1);
        counts(() => other.notify(), 1);
        counts(() => memory.write(Uint8Array.of(1)), 1);
        counts(() => memory.write(Uint8Array.of(1)), 1);
        counts(() => memory.write(new Uint8Array(0)), 1);
        counts(() => other.writeIfChanged(Uint8Array.of(2)), 1);
        counts(() => other.writeIfChanged(Uint8Array.of(2)), 0);
        counts(() => memory.read(), 0);
        counts(() => memory.readInto(new Uint8Array(4)), 0);
        counts(() => memory.lockSync().unlock(), 0);
        counts(() => assert.throws(() => memory.write(new Uint8Array(9)), RangeError), 0);
        counts(() => SharedMemory.attach(memory.key).detach(), 0);
        counts(() => inspect("memory", memory.key), 0);
      },
    },
    {
      name: "storing through data tells nobody; notify() does",
      needs: "view",
      async run() {
        using place = pair();
        const waiting = watch(place.memory.waitForChange(0, WATCHDOG));
        place.other.data[0] = 5;
        await setImmediate();
        assert.deepEqual([waiting.state, place.memory.revision], ["pending", 0]);
        place.other.notify();
        assert.equal(await settled(waiting), 1);
        assert.equal(place.memory.read(0, 1)[0], 5);
      },
    },
    {
      name: "revision wraps from 2^31-1 to 0, and no wait, loop or look stumbles over it",
      needs: "system",
      async run() {
        using place = pair();
        const { memory, other } = place;
        setRevision(memory.path, MOST_REVISION - 1);
        assert.equal(memory.revision, MOST_REVISION - 1);
        const iterator = memory.changes();
        const waiting = [memory.waitForChange(MOST_REVISION - 1, WATCHDOG)];
        other.notify();
        assert.equal(await waiting[0], MOST_REVISION);
        assert.deepEqual(await iterator.next(), { done: false, value: MOST_REVISION });
        const next = iterator.next();
        waiting.push(memory.waitForChange(MOST_REVISION, WATCHDOG));
        await microtasks();
        other.notify();
        assert.equal(await waiting[1], 0);
        assert.deepEqual(await next, { done: false, value: 0 });
        assert.equal(inspect("memory", memory.key)?.revision, 0);
        assert.equal(await memory.waitForChange(MOST_REVISION), 0);
        assert.equal(memory.waitForChangeSync(MOST_REVISION), 0);
        setRevision(memory.path, MOST_REVISION);
        assert.equal(memory.waitForChangeSync(0), MOST_REVISION);
        other.write(Uint8Array.of(1));
        assert.equal(memory.waitForChangeSync(MOST_REVISION), 0);
      },
    },
    {
      name: "notify() of a readOnly attachment throws TypeError; it sees revisions and waits like any other",
      async run() {
        using memory = SharedMemory.create(freshKey(), 1);
        using reader = SharedMemory.attach(memory.key, { readOnly: true });
        assert.throws(() => reader.notify(), {
          name: "TypeError",
          message: `Cannot notify shared memory "${memory.key}": it is attached read-only`,
        });
        assert.equal(memory.revision, 0);
        const following = reader.changes();
        const waiting = watch(reader.waitForChange(0, WATCHDOG));
        await setImmediate();
        memory.notify();
        assert.equal(await settled(waiting), 1);
        assert.equal(reader.waitForChangeSync(0), 1);
        assert.deepEqual(await following.next(), { done: false, value: 1 });
        assert.equal(reader.revision, 1);
      },
    },
    {
      name: "everything of a detached attachment: TypeError, thrown or as a rejection, that names it",
      async run() {
        const memory = SharedMemory.create(freshKey(), 1);
        memory.detach();
        const message = new RegExp(`^Cannot .* shared memory "${memory.key}": it is detached$`);
        const calls = [
          () => memory.revision,
          () => memory.notify(),
          () => memory.waitForChangeSync(1),
          () => memory.waitForChangeSync(0, { timeout: 0 }),
          () => memory.changes(),
          () => memory.changes({ initial: true }),
        ];
        for (const f of calls) assert.throws(f, { name: "TypeError", message }, f.toString());
        for (const options of [undefined, { timeout: 0 }]) {
          const error = await rejectionOf(memory.waitForChange(0, options));
          assert.ok(error instanceof TypeError);
          assert.match(error.message, message);
        }
      },
    },
    {
      name: "waitForChange() resolves in the same turn when the revision is another one already, whatever the timeout",
      async run() {
        using memory = SharedMemory.create(freshKey(), 1);
        memory.notify();
        for (const timeout of [undefined, 0, 0.5, 2 ** 31, 2 ** 53, Number.MAX_VALUE, Infinity]) {
          for (const since of [0, 2, 1000, MOST_REVISION]) {
            const fate = watch(memory.waitForChange(since, { timeout } as never));
            await microtasks();
            assert.deepEqual([fate.state, fate.value], ["fulfilled", 1]);
          }
        }
        assert.equal(await memory.waitForChange(0), 1);
        assert.equal(await memory.waitForChange(0, {}), 1);
      },
    },
    {
      name: "waitForChange() is woken by notify(), write() and writeIfChanged(), of others and its own",
      async run() {
        using place = pair();
        const { memory, other } = place;
        let byte = 10;
        const publishers = [memory, other].flatMap((publisher) => [
          () => publisher.notify(),
          () => publisher.write(Uint8Array.of(1)),
          () => publisher.writeIfChanged(Uint8Array.of(++byte)),
        ]);
        for (const publish of publishers) {
          const since = memory.revision;
          const waiting = watch(memory.waitForChange(since, WATCHDOG));
          await setTimeout(3); // it sleeps by now
          assert.equal(waiting.state, "pending");
          publish();
          assert.equal(await settled(waiting), since + 1, publish.toString());
        }
      },
    },
    {
      name: "waitForChange() does not miss what came between reading the revision and waiting, nor in the same turn",
      async run() {
        using place = pair();
        const { memory, other } = place;
        for (let i = 0; i < 200; i++) {
          const since = memory.revision;
          if (i % 3 === 0) other.notify();
          const waiting = memory.waitForChange(since, WATCHDOG);
          if (i % 3 === 1) other.notify();
          if (i % 3 === 2) queueMicrotask(() => other.notify());
          if (i % 5 === 0) await setImmediate();
          assert.equal(await waiting, since + 1);
        }
      },
    },
    {
      name: "waitForChange() is not woken by what is no change of the revision",
      async run() {
        using place = pair();
        const { memory, other } = place;
        const waiting = watch(memory.waitForChange(0, WATCHDOG));
        await setImmediate();
        other.writeIfChanged(new Uint8Array(8));
        (await other.lock()).unlock();
        SharedMemory.attach(memory.key).detach();
        for (let i = 0; i < 20; i++) {
          await setTimeout(1);
          assert.equal(waiting.state, "pending");
        }
        other.notify();
        assert.equal(await settled(waiting), 1);
      },
    },
    {
      name: "waitForChange() of many tasks and attachments: all are woken by one change",
      async run() {
        using memory = SharedMemory.create(freshKey(), 1);
        const attachments = Array.from({ length: 10 }, (_, i) =>
          SharedMemory.attach(memory.key, { readOnly: i % 2 === 0 }));
        const fates = attachments.flatMap((attachment) =>
          Array.from({ length: 10 }, () => watch(attachment.waitForChange(0, WATCHDOG))));
        await setTimeout(5);
        assert.ok(fates.every(({ state }) => state === "pending"));
        memory.notify();
        for (const fate of fates) assert.equal(await settled(fate), 1);
        for (const attachment of attachments) attachment.detach();
      },
    },
    {
      name: "waitForChange() is rejected with TimeoutError when the time is up, and not before",
      async run() {
        using memory = SharedMemory.create(freshKey(), 1);
        for (const timeout of [0, 1, 4.5, 40]) {
          const start = performance.now();
          assertDomException(
            await rejectionOf(memory.waitForChange(0, { timeout })),
            "TimeoutError",
            new RegExp(`^Timed out after ${timeout} ms waiting for a change of shared memory "${memory.key}"$`),
          );
          assert.ok(performance.now() - start >= timeout, `${performance.now() - start} >= ${timeout}`);
        }
        const order: number[] = [];
        await Promise.all([60, 20, 40, 0].map(async (timeout) => {
          assertDomException(await rejectionOf(memory.waitForChange(0, { timeout })), "TimeoutError");
          order.push(timeout);
        }));
        assert.deepEqual(order, [0, 20, 40, 60]);
      },
    },
    {
      name: "waitForChange() whose time is up while changes come fast is rejected or resolved, never both nor neither",
      async run() {
        using place = pair();
        const { memory, other } = place;
        for (let i = 0; i < 100; i++) {
          const since = memory.revision;
          const waiting = memory.waitForChange(since, { timeout: i % 3 }).catch((error: unknown) => {
            assertDomException(error, "TimeoutError");
            return since;
          });
          if (i % 2 === 0) await setImmediate();
          other.notify();
          assert.ok([since, since + 1].includes(await waiting));
        }
      },
    },
    {
      name: "waitForChange() waits without an end by default, and with a timeout beyond what timers take",
      async run() {
        using memory = SharedMemory.create(freshKey(), 1);
        const fates = [undefined, Infinity, 2 ** 31, 2 ** 32 + 5, Number.MAX_VALUE]
          .map((timeout) => watch(memory.waitForChange(0, { timeout } as never)));
        await setTimeout(30);
        for (const { state } of fates) assert.equal(state, "pending");
        memory.notify();
        for (const fate of fates) assert.equal(await settled(fate), 1);
      },
    },
    {
      name: "waitForChange() and waitForChangeSync() refuse a `since` that is no revision, and options of the wrong kind",
      async run() {
        using memory = SharedMemory.create(freshKey(), 1);
        for (const since of [-1, 0.5, NaN, Infinity, 2 ** 31, 2 ** 32, 2 ** 53]) {
          const error = await rejectionOf(memory.waitForChange(since));
          assert.ok(error instanceof RangeError, `${since}: ${error}`);
          assert.match(error.message, /^Since must be a whole number from 0 to 2147483647: got /);
          assert.throws(() => memory.waitForChangeSync(since), RangeError);
        }
        for (const since of [undefined, null, "0", 0n, true, {}, [0], new Date(0)] as never[]) {
          const error = await rejectionOf(memory.waitForChange(since));
          assert.ok(error instanceof TypeError, `${since}: ${error}`);
          assert.match(error.message, /^Since must be a number: got /);
          assert.throws(() => memory.waitForChangeSync(since), TypeError);
        }
        for (const [options, Class] of WRONG_OPTIONS) {
          assert.ok(await rejectionOf(memory.waitForChange(0, options as never)) instanceof Class);
          assert.ok(thrownBy(() => memory.waitForChangeSync(0, options as never)) instanceof Class);
        }
        for (const options of [{ signal: new AbortController().signal }, { ref: false }] as never[]) {
          assert.throws(() => memory.waitForChangeSync(0, options), TypeError);
        }
        memory.notify();
        assert.ok(await rejectionOf(memory.waitForChange(-1)) instanceof RangeError, "whatever the revision is");
      },
    },
    {
      name: "waitForChange() with a signal that is aborted already is rejected with its reason, also after a change",
      async run() {
        using memory = SharedMemory.create(freshKey(), 1);
        for (const since of [0, 1]) {
          for (const reason of ["a string", 0, null, new SyntaxError("mine")]) {
            assert.equal(await rejectionOf(memory.waitForChange(since, { signal: AbortSignal.abort(reason) })), reason);
          }
        }
        assertDomException(await rejectionOf(memory.waitForChange(0, { signal: AbortSignal.abort() })), "AbortError");
      },
    },
    {
      name: "waitForChange() is rejected with the signal's reason in the turn of the abort; others go on waiting",
      async run() {
        using memory = SharedMemory.create(freshKey(), 1);
        const stays = watch(memory.waitForChange(0, WATCHDOG));
        for (const reason of ["a string", 0, null, new SyntaxError("mine")]) {
          const controller = new AbortController();
          const fates = [1, 2, 3].map(() => watch(memory.waitForChange(0, { signal: controller.signal })));
          await setImmediate();
          for (const { state } of fates) assert.equal(state, "pending");
          controller.abort(reason);
          await microtasks();
          for (const fate of fates) assert.deepEqual([fate.state, fate.reason], ["rejected", reason]);
        }
        const signal = AbortSignal.timeout(5);
        assert.equal(await rejectionOf(memory.waitForChange(0, { signal })), signal.reason);
        assert.equal(stays.state, "pending");
        memory.notify();
        assert.equal(await settled(stays), 1);
      },
    },
    {
      name: "waitForChange() lets go of the signal when it has ended, however",
      async run() {
        const memory = SharedMemory.create(freshKey(), 1);
        const controller = new AbortController();
        const { signal } = controller;
        const listeners = countListeners(signal);
        await rejectionOf(memory.waitForChange(0, { signal, timeout: 5 }));
        assert.equal(listeners.count, 0, "after a timeout");
        await rejectionOf(memory.waitForChange(0, { signal, timeout: 0 }));
        assert.equal(listeners.count, 0, "after no time");
        const waiting = memory.waitForChange(0, { signal });
        assert.equal(listeners.count, 1);
        memory.notify();
        await waiting;
        assert.equal(listeners.count, 0, "after a change");
        await memory.waitForChange(0, { signal });
        assert.equal(listeners.count, 0, "without a wait");
        await rejectionOf(memory.waitForChange(-1, { signal }));
        assert.equal(listeners.count, 0, "after a refusal");
        const rejected = [1, 2].map(() => watch(memory.waitForChange(1, { signal })));
        memory.detach();
        assert.equal(listeners.count, 0, "after detach()");
        controller.abort(new Error("too late"));
        await microtasks();
        for (const { reason } of rejected) assertDomException(reason, "AbortError", /^Detached from/);
      },
    },
    {
      name: "an abort and a change in one turn end the wait once, and lose the change to nobody else",
      async run() {
        using place = pair();
        for (const abortFirst of [true, false]) {
          const since = place.memory.revision;
          const controller = new AbortController();
          const aborted = watch(place.memory.waitForChange(since, { signal: controller.signal }));
          const stays = watch(place.memory.waitForChange(since, WATCHDOG));
          await setImmediate();
          const steps = [() => controller.abort("why"), () => place.other.notify()];
          for (const step of abortFirst ? steps : steps.reverse()) step();
          await microtasks();
          assert.deepEqual([aborted.state, aborted.reason], ["rejected", "why"]);
          assert.equal(await settled(stays), since + 1);
        }
      },
    },
    {
      name: "detach() rejects all pending waits with AbortError in the same turn",
      async run() {
        const memory = SharedMemory.create(freshKey(), 1);
        const fates = Array.from({ length: 10 }, (_, i) => watch(memory.waitForChange(0, { timeout: 1000 * (i + 1) })));
        await setImmediate();
        memory.detach();
        await microtasks();
        const message = new RegExp(`^Detached from shared memory "${memory.key}" while waiting$`);
        for (const fate of fates) assertDomException(fate.reason, "AbortError", message);
      },
    },
    {
      name: "waits can be begun and ended from within what a change starts",
      async run() {
        using place = pair();
        const { memory, other } = place;
        const order: string[] = [];
        const first = memory.waitForChange(0, WATCHDOG).then(async (revision) => {
          order.push("first");
          const inner = memory.waitForChange(revision, WATCHDOG);
          other.notify();
          order.push(`inner ${await inner}`);
        });
        const second = memory.waitForChange(0, WATCHDOG).then(() => order.push("second"));
        const third = memory.waitForChange(0, WATCHDOG).then(() => memory.waitForChange(0, WATCHDOG));
        await setImmediate();
        other.notify();
        await Promise.all([first, second, third]);
        assert.deepEqual(order, ["first", "second", "inner 2"]);
      },
    },
    {
      name: "waitForChange() with ref: false is woken as well",
      async run() {
        using place = pair();
        const alive = setInterval(() => {}, 1000); // such a wait keeps no process alive
        const waiting = watch(place.memory.waitForChange(0, { ref: false, ...WATCHDOG }));
        await setImmediate();
        place.other.notify();
        assert.equal(await settled(waiting), 1);
        clearInterval(alive);
      },
    },
    {
      name: "a wait and a loop whose objects were collected go on, and are woken",
      async run() {
        using memory = SharedMemory.create(freshKey(), 1);
        const waiting = watch((() => SharedMemory.attach(memory.key).waitForChange(0, WATCHDOG))());
        const iterator = (() => SharedMemory.attach(memory.key).changes())();
        const next = watch(iterator.next());
        const alone = watch((() => SharedMemory.attach(memory.key).changes().next())());
        for (let i = 0; i < 5; i++) {
          collectGarbage();
          await setTimeout(2);
        }
        assert.deepEqual([waiting.state, next.state, alone.state], ["pending", "pending", "pending"]);
        memory.notify();
        assert.equal(await settled(waiting), 1);
        assert.deepEqual(await settled(alone), { done: false, value: 1 });
        assert.deepEqual(await settled(next), { done: false, value: 1 });
        const last = watch(iterator.next());
        for (let i = 0; i < 5; i++) {
          collectGarbage();
          await setTimeout(2);
        }
        memory.notify();
        assert.deepEqual(await settled(last), { done: false, value: 2 });
        await iterator.return!();
        remove("memory", memory.key, { force: true }); // those three stay attached to the end of the process
      },
    },
    {
      name: "200 waits: descriptors and threads stay as they are, timers and file calls keep working",
      needs: "system",
      async run() {
        using place = pair();
        const { memory, other } = place;
        await rejectionOf(memory.waitForChange(0, { timeout: 5 })); // makes what waits need
        await Promise.all([readFile("/proc/self/stat"), readFile("/proc/self/stat")]);
        await setTimeout(5);
        const before = [descriptors(), threads()];
        const fates = Array.from({ length: 200 }, (_, i) =>
          watch(i % 2 === 0 ? memory.waitForChange(0, WATCHDOG) : memory.changes().next()));
        for (let i = 0; i < 20; i++) {
          await setTimeout(1);
          assert.ok((await readFile("/proc/self/stat")).length > 0);
          // A few come and go that are the runtime's own.
          assert.ok(descriptors() <= before[0]! + 20, `${before[0]} descriptors became ${descriptors()}`);
          assert.ok(threads() <= before[1]! + 20, `${before[1]} threads became ${threads()}`);
        }
        assert.ok(fates.every(({ state }) => state === "pending"));
        assert.equal(inspect("memory", memory.key)?.waiting, 1);
        other.notify();
        for (const fate of fates) await settled(fate as Fate<unknown>);
      },
    },
    {
      name: "thousands of waits that time out or are aborted all end, and leave one timer, until detach()",
      async run() {
        using memory = SharedMemory.create(freshKey(), 1);
        using timers = countTimers();
        const controller = new AbortController();
        const aborted = Array.from({ length: 500 }, () =>
          watch(memory.waitForChange(0, { signal: controller.signal })));
        const timed = Array.from({ length: 500 }, (_, i) => rejectionOf(memory.waitForChange(0, { timeout: i % 20 })));
        for (const reason of await Promise.all(timed)) assertDomException(reason, "TimeoutError");
        controller.abort();
        await microtasks();
        for (const { reason } of aborted) assertDomException(reason, "AbortError");
        assert.ok(timers.count <= 1, `${timers.count} timers`);
        memory.detach();
        assert.equal(timers.count, 0);
      },
    },
    {
      name: "waits of random lengths, aborted, timed out, detached and woken in any order, all end as they should",
      run() {
        return withRandomAsync(async (random) => {
          for (let round = 0; round < 20; round++) {
            const publisher = SharedMemory.create(freshKey(), 1);
            const attachments = [1, 2, 3].map(() => SharedMemory.attach(publisher.key));
            const ends = { changed: 0, timeout: 0, aborted: 0, detached: 0 };
            const tasks = Array.from({ length: 30 }, async () => {
              const memory = random.of(attachments);
              const controller = new AbortController();
              const reason = Symbol("reason");
              const since = publisher.revision;
              const timeout = random.of([1, 5, 10, Infinity]);
              const moment = random.below(15);
              const aborting = setTimeout(moment).then(() => controller.abort(reason));
              try {
                assert.notEqual(await memory.waitForChange(since, { timeout, signal: controller.signal }), since);
                ends.changed++;
              } catch (error) {
                const { name } = error as Error;
                if (error === reason) ends.aborted++;
                else if (name === "TimeoutError") ends.timeout++;
                else if (name === "AbortError" && !memory.isAttached) ends.detached++;
                else throw error;
              }
              await aborting;
            });
            await setTimeout(random.below(8));
            attachments[0]!.detach();
            await setTimeout(random.below(4));
            if (round % 2 === 0) publisher.notify();
            await Promise.all(tasks);
            assert.equal(Object.values(ends).reduce((sum, n) => sum + n), 30);
            for (const memory of [publisher, ...attachments]) memory.detach();
          }
        });
      },
    },
    {
      name: "waitForChangeSync() gives the revision when it is another one already, whatever the timeout",
      run() {
        using memory = SharedMemory.create(freshKey(), 1);
        memory.notify();
        for (const timeout of [undefined, 0, 0.5, 1, 2 ** 40, Number.MAX_VALUE, Infinity]) {
          assert.equal(memory.waitForChangeSync(0, { timeout } as never), 1);
          assert.equal(memory.waitForChangeSync(MOST_REVISION, { timeout } as never), 1);
        }
        assert.equal(memory.waitForChangeSync(0), 1);
        assert.equal(memory.waitForChangeSync(0, {}), 1);
      },
    },
    {
      name: "waitForChangeSync() throws TimeoutError when the time is up, and not before; read-only too",
      run() {
        using memory = SharedMemory.create(freshKey(), 1);
        using reader = SharedMemory.attach(memory.key, { readOnly: true });
        for (const attachment of [memory, reader]) {
          for (const timeout of [0, 0.5, 1, 4.5, 40]) {
            const start = performance.now();
            assertDomException(
              thrownBy(() => attachment.waitForChangeSync(0, { timeout })),
              "TimeoutError",
              new RegExp(`^Timed out after ${timeout} ms waiting for a change of shared memory "${memory.key}"$`),
            );
            assert.ok(performance.now() - start >= timeout, `${performance.now() - start} >= ${timeout}`);
          }
        }
      },
    },
    {
      name: "waitForChangeSync() is woken by other processes, in each runtime",
      needs: "system",
      async run() {
        using memory = SharedMemory.create(freshKey(), 1);
        using reader = SharedMemory.attach(memory.key, { readOnly: true });
        await using others = await startPeers();
        for (const peer of others.peers) {
          await peer.run(({ SharedMemory }, state, key) => {
            state.memory = SharedMemory.attach(key);
            state.timer = setInterval(() => state.memory.notify(), 1);
          }, memory.key);
          for (let i = 0; i < 20; i++) {
            for (const attachment of [memory, reader]) {
              const since = attachment.revision;
              assert.notEqual(attachment.waitForChangeSync(since, WATCHDOG), since);
            }
          }
          await peer.run((_, { memory, timer }) => {
            clearInterval(timer);
            memory.detach();
          });
        }
      },
    },
    {
      name: "changes() gives the revisions that follow its call, also those before the first next()",
      async run() {
        using place = pair();
        const { memory, other } = place;
        other.notify();
        const iterator = memory.changes();
        other.notify();
        assert.deepEqual(await iterator.next(), { done: false, value: 2 });
        const late = memory.changes();
        const pending = watch(late.next());
        await setTimeout(5);
        assert.equal(pending.state, "pending", "what came before the call is not given");
        other.notify();
        assert.deepEqual(await settled(pending), { done: false, value: 3 });
        assert.deepEqual(await iterator.next(), { done: false, value: 3 });
        await iterator.return!();
        await late.return!();
      },
    },
    {
      name: "changes() gives what came before the first next() in the same turn as that",
      async run() {
        using place = pair();
        const iterator = place.memory.changes();
        place.other.notify();
        const fate = watch(iterator.next());
        await microtasks();
        assert.deepEqual(fate.value, { done: false, value: 1 });
      },
    },
    {
      name: "changes() reports own writes too",
      async run() {
        using memory = SharedMemory.create(freshKey(), 1);
        const seen: number[] = [];
        for await (const revision of memory.changes({ initial: true })) {
          seen.push(revision);
          if (revision === 3) break;
          memory.write(Uint8Array.of(revision));
        }
        assert.deepEqual(seen, [0, 1, 2, 3]);
      },
    },
    {
      name: "changes({ initial: true }) gives the present revision first, once, and then what follows",
      async run() {
        using place = pair();
        const { memory, other } = place;
        for (const revision of [0, 1]) {
          const iterator = memory.changes({ initial: true });
          assert.deepEqual(await iterator.next(), { done: false, value: revision });
          const next = watch(iterator.next());
          await setTimeout(5);
          assert.equal(next.state, "pending");
          other.notify();
          assert.deepEqual(await settled(next), { done: false, value: revision + 1 });
          await iterator.return!();
        }
        const iterator = memory.changes({ initial: true });
        other.notify();
        assert.deepEqual(await iterator.next(), { done: false, value: 3 }, "present when it is asked for");
      },
    },
    {
      name: "changes() gives one event for many changes to a slow consumer, which ends with the newest",
      async run() {
        using place = pair();
        const { memory, other } = place;
        const iterator = memory.changes();
        for (let i = 0; i < 1000; i++) other.notify();
        assert.deepEqual(await iterator.next(), { done: false, value: 1000 });
        const none = watch(iterator.next());
        await setTimeout(5);
        assert.equal(none.state, "pending", "they were one event");
        other.notify();
        await settled(none);

        let events = 0;
        const writing = (async () => {
          for (let i = 0; i < 300; i++) {
            other.write(Uint8Array.of(i));
            if (i % 10 === 0) await setImmediate();
          }
        })();
        for await (const revision of memory.changes({ initial: true })) {
          events++;
          if (revision === 1301) break;
          await setTimeout(1);
        }
        await writing;
        assert.ok(events < 300, `${events} events`);
        assert.equal(memory.read(0, 1)[0], 299 & 255);
      },
    },
    {
      name: "a loop in which there is always one more change lets timers fire",
      async run() {
        using memory = SharedMemory.create(freshKey(), 1);
        let ticks = 0;
        const timer = setInterval(() => ticks++, 1);
        for await (const _ of memory.changes({ initial: true })) {
          if (ticks === 5) break;
          memory.notify();
        }
        clearInterval(timer);
      },
    },
    {
      name: "changes() is an iterator of its own each time, which is its own iterable, and ends alone",
      async run() {
        using place = pair();
        const [one, two] = [place.memory.changes(), place.memory.changes()];
        assert.notEqual(one, two);
        assert.equal(one[Symbol.asyncIterator](), one);
        place.other.notify();
        assert.deepEqual(await one.next(), { done: false, value: 1 });
        assert.deepEqual(await one.return!(), { done: true, value: undefined });
        assert.deepEqual(await two.next(), { done: false, value: 1 });
        const pending = watch(two.next());
        place.other.notify();
        assert.deepEqual(await settled(pending), { done: false, value: 2 });
        assert.deepEqual(await one.next(), { done: true, value: undefined });
      },
    },
    {
      name: "changes() that has ended gives nothing more, however often it is asked, and return() again is nothing",
      async run() {
        using place = pair();
        const iterator = place.memory.changes();
        for (let i = 0; i < 3; i++) assert.deepEqual(await iterator.return!(), { done: true, value: undefined });
        place.other.notify();
        for (let i = 0; i < 3; i++) assert.deepEqual(await iterator.next(), { done: true, value: undefined });
      },
    },
    {
      name: "several next() at once get an event each, in order; return() ends those that wait, in the same turn",
      async run() {
        using place = pair();
        const { memory, other } = place;
        const iterator = memory.changes();
        const fates = Array.from({ length: 6 }, () => watch(iterator.next()));
        await microtasks();
        for (let i = 0; i < 3; i++) {
          assert.deepEqual(fates.map(({ state }) => state === "fulfilled"), fates.map((_, at) => at < i));
          other.notify();
          assert.deepEqual(await settled(fates[i]!), { done: false, value: i + 1 });
        }
        const ended = watch(iterator.return!());
        await microtasks();
        for (const fate of [...fates.slice(3), ended]) assert.deepEqual(fate.value, { done: true, value: undefined });
      },
    },
    {
      name: "changes() with options of the wrong kind throws at once",
      run() {
        using memory = SharedMemory.create(freshKey(), 1);
        const wrong: unknown[] = [
          { signal: {} },
          { signal: null },
          { signal: new AbortController() },
          { initial: 1 },
          { initial: null },
          { initial: "yes" },
          { ref: 0 },
          { ref: "false" },
          { timeout: 5 },
          { Initial: true },
          null,
          1,
          "x",
          [],
        ];
        for (const options of wrong) {
          assert.throws(() => memory.changes(options as never), TypeError, JSON.stringify(options));
        }
        const listeners = countListeners(AbortSignal.abort());
        assert.throws(() => memory.changes({ signal: new AbortController().signal, initial: 1 } as never), TypeError);
        assert.equal(listeners.count, 0);
      },
    },
    {
      name: "changes() with a signal that is aborted already ends at once, also with initial",
      async run() {
        using memory = SharedMemory.create(freshKey(), 1);
        for (const initial of [false, true]) {
          const signal = AbortSignal.abort(new Error("mine"));
          const iterator = memory.changes({ signal, initial });
          memory.notify();
          assert.deepEqual(await iterator.next(), { done: true, value: undefined });
          for await (const _ of memory.changes({ signal, initial })) assert.fail("an event");
        }
      },
    },
    {
      name: "an abort, and detach(), end pending next() in the same turn, without an error",
      async run() {
        for (const end of ["abort", "detach"] as const) {
          const memory = SharedMemory.create(freshKey(), 1);
          const controller = new AbortController();
          const iterator = memory.changes({ signal: controller.signal });
          const fates = [1, 2, 3].map(() => watch(iterator.next()));
          await setImmediate();
          assert.ok(fates.every(({ state }) => state === "pending"));
          if (end === "abort") controller.abort(new Error("mine"));
          else memory.detach();
          await microtasks();
          for (const fate of fates) assert.deepEqual(fate.value, { done: true, value: undefined }, end);
          assert.deepEqual(await iterator.next(), { done: true, value: undefined });
          memory.detach();
        }
      },
    },
    {
      name: "changes() with ref: false gives events as well",
      async run() {
        using place = pair();
        const alive = setInterval(() => {}, 1000); // such a loop keeps no process alive
        const next = watch(place.memory.changes({ ref: false }).next());
        await setImmediate();
        place.other.notify();
        assert.deepEqual(await settled(next), { done: false, value: 1 });
        clearInterval(alive);
      },
    },
    {
      name: "`for await` ends by break, return, throw, abort and detach(), and leaves no listener; detach() ends the timer",
      async run() {
        for (const [name, end] of Object.entries(ENDS)) {
          using timers = countTimers();
          using memory = SharedMemory.create(freshKey(), 1);
          const controller = new AbortController();
          const listeners = countListeners(controller.signal);
          await end(memory, controller);
          assert.equal(listeners.count, 0, name);
          assert.ok(timers.count <= 1, `${name}: ${timers.count} timers`);
          memory.detach();
          assert.equal(timers.count, 0, name);
        }
      },
    },
    {
      name: "1,000 rounds of `for await` ended in each way leave no timer, descriptor, bell or listener",
      needs: "system",
      async run() {
        const round = async (rounds: number): Promise<void> => {
          using timers = countTimers();
          for (let i = 0; i < rounds; i++) {
            const ways = Object.entries(ENDS);
            const [name, end] = ways[i % ways.length]!;
            const memory = SharedMemory.create(freshKey(), 1);
            const controller = new AbortController();
            const listeners = countListeners(controller.signal);
            if (i % 3 === 0) await rejectionOf(memory.waitForChange(0, { timeout: 0.1 })); // opens its bell
            await end(memory, controller);
            memory.detach();
            assert.deepEqual([listeners.count, timers.count], [0, 0], name);
          }
        };
        await round(50);
        await setTimeout(20);
        const before = [bells(), descriptors()] as const;
        await round(1000);
        assert.deepEqual(bells(), before[0]);
        await until(() => descriptors() <= before[1], "descriptors are closed");
      },
    },
    {
      name: "1,000 loops over one attachment's changes share one bell, which goes with the attachment",
      needs: "system",
      async run() {
        await setTimeout(20);
        const [others, without] = [bells(), descriptors()];
        const memory = SharedMemory.create(freshKey(), 1);
        await rejectionOf(memory.waitForChange(0, { timeout: 1 }));
        const own = bells();
        assert.equal(own.length, others.length + 1);
        await setTimeout(5);
        const before = descriptors();
        const { break: leave, return: give, throw: fail, abort } = ENDS;
        const ways = [leave!, give!, fail!, abort!, ENDS["abort inside"]!];
        for (let i = 0; i < 1000; i++) await ways[i % ways.length]!(memory, new AbortController());
        assert.deepEqual(bells(), own);
        assert.ok(descriptors() <= before, `${before} descriptors became ${descriptors()}`);
        memory.detach();
        assert.deepEqual(bells(), others);
        await until(() => descriptors() <= without, "its descriptors are closed");
      },
    },
    {
      name: "a process of each runtime wakes waits and loops here, and is woken from here",
      needs: "system",
      async run() {
        using memory = SharedMemory.create(freshKey(), 8);
        await using others = await startPeers();
        for (const peer of others.peers) {
          await peer.run(({ SharedMemory }, state, key) => void (state.memory = SharedMemory.attach(key)), memory.key);
          for (let i = 0; i < 10; i++) {
            const since = memory.revision;
            const waiting = watch(memory.waitForChange(since, WATCHDOG));
            await until(() => inspect("memory", memory.key)!.waiting === 1, "asleep");
            await peer.run((_, { memory }, i) => memory.write(Uint8Array.of(i)), i);
            assert.equal(await settled(waiting), since + 1, peer.runtime);
            assert.equal(memory.read(0, 1)[0], i);
          }
          const last = memory.revision + 20;
          const there = peer.run(async (_, { memory }, [since, last]) => {
            const seen: number[] = [];
            let known = since!;
            while (known !== last) seen.push(known = await memory.waitForChange(known, { timeout: 60_000 }));
            return seen;
          }, [memory.revision, last]);
          for (let i = 0; i < 20; i++) {
            memory.notify();
            await setTimeout(1);
          }
          const seen = await there;
          assert.equal(seen.at(-1), last, peer.runtime);
          assert.deepEqual(seen, [...seen].sort((a, b) => a - b));
          await peer.run((_, { memory }) => memory.detach());
        }
      },
    },
    {
      name: "a loop here sees every last state that processes of all runtimes write at full speed",
      needs: "system",
      async run() {
        using memory = SharedMemory.create(freshKey(), 4);
        await using others = await startPeers();
        const iterator = memory.changes();
        const writing = Promise.all(others.peers.map((peer, at) =>
          peer.run(({ SharedMemory }, _, [key, at]) => {
            using memory = SharedMemory.attach(key as string);
            for (let i = 1; i <= 500; i++) memory.write(Uint8Array.of(i % 251), at as number);
          }, [memory.key, at] as const)));
        const last = 500 * others.peers.length;
        let events = 0;
        for await (const revision of iterator) {
          events++;
          if (revision === last) break;
        }
        assert.ok(events <= last);
        assert.deepEqual([...memory.read(0, others.peers.length)], others.peers.map(() => 500 % 251));
        await writing;
      },
    },
    {
      name: "waiters that are killed are in nobody's way: others are woken, and nothing of them stays",
      needs: "system",
      async run() {
        const before = bells();
        using memory = SharedMemory.create(freshKey(), 1);
        await using others = await startPeers();
        for (const peer of others.peers) {
          await peer.run(({ SharedMemory }, state, key) => {
            const memory = SharedMemory.attach(key);
            state.waiting = memory.waitForChange(memory.revision);
          }, memory.key);
        }
        await until(() => inspect("memory", memory.key)!.waiting === others.peers.length, "all wait");
        const waiting = watch(memory.waitForChange(memory.revision, WATCHDOG));
        for (const peer of others.peers) await killPeer(peer);
        memory.notify();
        assert.equal(await settled(waiting), 1);
        assert.equal(inspect("memory", memory.key)?.attached.length, 1);
        assert.equal(bells().length, before.length + 1, "its own");
      },
    },
    {
      name: "a process that is killed while it writes at full speed leaves a reader that sees the next one's changes",
      needs: "system",
      async run() {
        using memory = SharedMemory.create(freshKey(), 1);
        for (let round = 0; round < 3; round++) {
          await using peer = await startPeer();
          const iterator = memory.changes();
          void peer.run(async ({ SharedMemory }, _, key) => {
            const memory = SharedMemory.attach(key);
            for (;;) {
              for (let i = 0; i < 1000; i++) memory.notify();
              await new Promise((resolve) => setTimeout(resolve, 0));
            }
          }, memory.key).catch(() => {});
          for (let i = 0; i < 5; i++) await iterator.next();
          await killPeer(peer);
          memory.notify();
          while ((await iterator.next()).value !== memory.revision);
          const next = watch(iterator.next());
          await setImmediate();
          memory.notify();
          assert.deepEqual(await settled(next), { done: false, value: memory.revision });
          await iterator.return!();
        }
      },
    },
  ],
};
