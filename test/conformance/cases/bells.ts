/** Bells: that waits are woken by them and not by the timers beside them; and what becomes of them in hostile hands. */

import assert from "node:assert/strict";
import {
  closeSync,
  constants,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { setImmediate, setTimeout } from "node:timers/promises";
import { inspect, type Kind, list, SharedMemory, SharedValue, SingleInstance, SystemSemaphore } from "../../../mod.ts";
import { BELLS, poke } from "../../support/kernel.ts";
import { freshKey, type Suite } from "../case.ts";
import { type Fate, rejectionOf, stoppableTimers, until, watch } from "../helpers.ts";
import { directory, startPeers } from "../peers.ts";
import { randomBytes, withRandomAsync } from "../random.ts";

/** Ends what would otherwise be a hang; no case gets near it. */
const WATCHDOG = { timeout: 60_000 };

function bells(): string[] {
  return readdirSync(directory()).filter((file) => file.startsWith("b.")).sort();
}

/** The path of the bell of a memory that waits; it waits afterwards as before. */
function bellOf(memory: SharedMemory): string {
  const before = bells();
  watch(memory.waitForChange(memory.revision));
  const made = bells().filter((name) => !before.includes(name));
  assert.equal(made.length, 1);
  return `${directory()}/${made[0]}`;
}

/** Begins a wait, and when it sleeps gives what it waits for: no timer of ours comes due between the two. */
async function assertWoken<T>(kind: Kind, key: string, begin: () => Promise<T>, wake: () => unknown): Promise<T> {
  using timers = stoppableTimers();
  const waiting = watch(begin());
  await until(() => waiting.state !== "pending" || inspect(kind, key)!.waiting > 0, "it sleeps");
  assert.equal(waiting.state, "pending", `${waiting.reason ?? waiting.value}`);
  timers.stop();
  await wake();
  await until(() => waiting.state !== "pending", "it is woken");
  assert.equal(waiting.state, "fulfilled", `${waiting.reason}`);
  return waiting.value!;
}

async function settled(fates: readonly Fate<unknown>[]): Promise<void> {
  await until(() => fates.every(({ state }) => state !== "pending"), "settled");
  for (const { state, reason } of fates) assert.equal(state, "fulfilled", `${reason}`);
}

export const bell: Suite = {
  name: "bells",
  cases: [
    {
      name: "waitForChange() and changes() are woken by their bell, not by a timer",
      async run() {
        using memory = SharedMemory.create(freshKey(), 1);
        using other = SharedMemory.attach(memory.key);
        using reader = SharedMemory.attach(memory.key, { readOnly: true });
        for (const attachment of [memory, reader, memory]) {
          for (const publish of [() => other.notify(), () => other.write(Uint8Array.of(1)), () => memory.notify()]) {
            const since = memory.revision;
            const begin = (): Promise<number> => attachment.waitForChange(since);
            assert.equal(await assertWoken("memory", memory.key, begin, publish), since + 1);
            const iterator = attachment.changes();
            const { value } = await assertWoken("memory", memory.key, () => iterator.next(), publish);
            assert.equal(value, since + 2);
            await iterator.return!();
          }
        }
      },
    },
    {
      name: "a change at any moment between the first look and the sleep is seen, without a timer",
      async run() {
        const { now } = performance;
        using timers = stoppableTimers();
        timers.stop();
        using other = SharedMemory.create(freshKey(), 1);
        for (let moment = 1, asked = moment; asked >= moment; moment++) {
          using memory = SharedMemory.attach(other.key);
          const since = memory.revision;
          asked = 0;
          performance.now = () => {
            if (++asked === moment) other.notify();
            return now.call(performance);
          };
          const waiting = watch(memory.waitForChange(since));
          performance.now = now;
          if (asked < moment) other.notify(); // it sleeps
          await until(() => waiting.state !== "pending", `change ${moment} is seen`);
          assert.equal(waiting.value, since + 1);
        }
      },
    },
    {
      name: "changes() of a value are woken by their bell, not by a timer",
      async run() {
        using value = SharedValue.open<number>(freshKey());
        using other = SharedValue.open<number>(value.key);
        for (let i = 0; i < 5; i++) {
          const iterator = value.changes();
          const { value: seen } = await assertWoken("value", value.key, () => iterator.next(), () => other.set(i));
          assert.equal(seen, i);
          await iterator.return!();
        }
      },
    },
    {
      name: "lock() is woken by unlock(), forceUnlock() and detach() of whoever has it, not by a timer",
      async run() {
        using memory = SharedMemory.create(freshKey(), 1);
        const ends: ((owner: SharedMemory, unlock: () => void) => unknown)[] = [
          (_, unlock) => unlock(),
          () => memory.forceUnlock(),
          (owner) => owner.detach(),
        ];
        for (const end of [...ends, ...ends]) {
          using owner = SharedMemory.attach(memory.key);
          const held = owner.lockSync();
          const lock = await assertWoken(
            "memory",
            memory.key,
            () => memory.lock(),
            () => end(owner, () => held.unlock()),
          );
          lock.unlock();
        }
      },
    },
    {
      name: "acquire() of a guard is woken by release(), not by a timer",
      async run() {
        const name = freshKey();
        for (let i = 0; i < 3; i++) {
          const guard = SingleInstance.tryAcquire(name)!;
          const begin = (): Promise<SingleInstance> => SingleInstance.acquire(name, { timeout: Infinity });
          (await assertWoken("instance", name, begin, () => guard.release())).release();
        }
        assert.deepEqual(list(), []);
      },
    },
    {
      name: "acquire() of permits is woken by release(), Permit.release() and close() of whoever has them, not by a timer",
      async run() {
        using semaphore = SystemSemaphore.open(freshKey(), { initial: 1 });
        for (const way of ["release", "permit", "close"] as const) {
          using holder = SystemSemaphore.open(semaphore.key);
          const held = holder.tryAcquire()!;
          const end = { release: () => holder.release(), permit: () => held.release(), close: () => holder.close() }[way];
          const permit = await assertWoken("semaphore", semaphore.key, () => semaphore.acquire(), end);
          if (way === "release") permit.forget();
          else permit.release();
          held.release();
          assert.equal(semaphore.available, 1);
        }
      },
    },
    {
      name: "processes of each runtime ring for a change, a lock, a guard and a value here",
      needs: "system",
      async run() {
        using memory = SharedMemory.create(freshKey(), 1);
        using value = SharedValue.open<string>(freshKey());
        const name = freshKey();
        await using others = await startPeers();
        for (const peer of others.peers) {
          await peer.run(({ SharedMemory, SharedValue, SingleInstance }, state, [memory, value, name]) => {
            state.memory = SharedMemory.attach(memory!);
            state.value = SharedValue.tryAttach(value!);
            state.guard = SingleInstance.tryAcquire(name!);
            state.lock = state.memory.lockSync();
          }, [memory.key, value.key, name]);
          await assertWoken(
            "memory",
            memory.key,
            () => memory.waitForChange(memory.revision),
            () => peer.run((_, { memory }) => memory.notify()),
          );
          const unlock = (): Promise<unknown> => peer.run((_, { lock }) => lock.unlock());
          (await assertWoken("memory", memory.key, () => memory.lock(), unlock)).unlock();
          const begin = (): Promise<SingleInstance> => SingleInstance.acquire(name, { timeout: Infinity });
          (await assertWoken("instance", name, begin, () => peer.run((_, { guard }) => guard.release()))).release();
          const iterator = value.changes();
          const set = (): Promise<unknown> => peer.run((_, { value }) => value.set("rung"));
          assert.equal((await assertWoken("value", value.key, () => iterator.next(), set)).value, "rung");
          await iterator.return!();
        }
      },
    },
    {
      name: "a bell is made when an attachment first has to wait in its event loop, once, and goes with it",
      needs: "system",
      async run() {
        const before = bells().length;
        const made = (): number => bells().length - before;
        const memory = SharedMemory.create(freshKey(), 1);
        const other = SharedMemory.attach(memory.key, { readOnly: true });
        memory.notify();
        (await memory.lock()).unlock();
        assert.equal(await memory.waitForChange(0), 1);
        assert.throws(() => memory.waitForChangeSync(1, { timeout: 1 }), DOMException);
        const iterator = memory.changes();
        assert.equal(made(), 0, "nobody had to wait");
        const fates = [memory.waitForChange(1, WATCHDOG), memory.waitForChange(1, WATCHDOG), iterator.next()];
        await setImmediate();
        assert.equal(made(), 1);
        const more = other.waitForChange(1, WATCHDOG);
        assert.equal(made(), 2);
        assert.equal(inspect("memory", memory.key)?.waiting, 2);
        memory.notify();
        await Promise.all([...fates, more]);
        assert.equal(made(), 2, "for the next wait");
        other.detach();
        assert.equal(made(), 1);
        memory.detach();
        assert.equal(made(), 0);
      },
    },
    {
      name: "a bell's file is as open as its segment, whatever the umask, and is told of nowhere",
      needs: "system",
      run() {
        for (const umask of [0, 0o077, 0o777]) {
          const before = process.umask(umask);
          try {
            for (const [mode, expected] of [[0o600, 0o600], [0o660, 0o660], [0o640, 0o640]] as const) {
              using memory = SharedMemory.create(freshKey(), 1, { mode });
              const file = lstatSync(bellOf(memory));
              assert.ok(file.isFIFO() || file.isSocket());
              assert.equal(file.mode & 0o777, expected, `umask ${umask.toString(8)}`);
              assert.deepEqual(list().map(({ key }) => key), [memory.key]);
            }
          } finally {
            process.umask(before);
          }
        }
      },
    },
    {
      name: "waiting tells how many attachments wait: none once their waits have ended, however",
      async run() {
        using one = SharedMemory.create(freshKey(), 1);
        using two = SharedMemory.attach(one.key);
        const waiting = (): number => inspect("memory", one.key)!.waiting;
        assert.equal(waiting(), 0);
        const controller = new AbortController();
        const fates = [
          watch(one.waitForChange(0, { signal: controller.signal })),
          watch(one.waitForChange(0, { signal: controller.signal })),
          watch(two.changes({ signal: controller.signal }).next()),
        ];
        await until(() => waiting() === 2, "two attachments wait");
        controller.abort();
        await until(() => fates.every(({ state }) => state !== "pending"), "aborted");
        assert.equal(waiting(), 0, "after an abort");
        await rejectionOf(one.waitForChange(0, { timeout: 5 }));
        assert.equal(waiting(), 0, "after a timeout");
        const held = two.lockSync();
        const locking = one.lock(WATCHDOG);
        assert.equal(waiting(), 1);
        held.unlock();
        (await locking).unlock();
        assert.equal(waiting(), 0, "after a lock");
      },
    },
    {
      name: "more waiting attachments than there are bells: all are woken, each time",
      async run() {
        using memory = SharedMemory.create(freshKey(), 1);
        const attachments = Array.from({ length: BELLS.count + 10 }, () => SharedMemory.attach(memory.key));
        for (let round = 0; round < 3; round++) {
          const fates = attachments.map((attachment) => watch(attachment.waitForChange(round, WATCHDOG)));
          await until(() => inspect("memory", memory.key)!.waiting === BELLS.count, "all bells are taken");
          await setTimeout(15);
          assert.ok(fates.every(({ state }) => state === "pending"));
          memory.notify();
          await settled(fates);
        }
        const held = memory.lockSync();
        const locking = watch(attachments.at(-1)!.lock(WATCHDOG));
        held.unlock();
        await settled([locking]);
        for (const attachment of attachments) attachment.detach();
      },
    },
    {
      name: "a bell that was removed from outside: the wait is woken all the same",
      needs: "system",
      async run() {
        using memory = SharedMemory.create(freshKey(), 1);
        using other = SharedMemory.attach(memory.key);
        const path = bellOf(memory);
        for (let i = 0; i < 2; i++) {
          rmSync(path, { force: true });
          const waiting = watch(memory.waitForChange(memory.revision, WATCHDOG));
          await setTimeout(3);
          other.notify();
          await settled([waiting]);
        }
      },
    },
    {
      name: "something else at a bell's name: nobody who rings hangs, crashes, or touches it, and the wait is woken",
      needs: "system",
      async run() {
        const elsewhere = `${directory()}/elsewhere-${process.pid}`;
        const things: Readonly<Record<string, (path: string) => void>> = {
          file: (path) => writeFileSync(path, "untouched"),
          directory: (path) => mkdirSync(path),
          link: (path) => symlinkSync(elsewhere, path),
          "link to nothing": (path) => symlinkSync("/nonexistent/qshm", path),
        };
        writeFileSync(elsewhere, "untouched");
        for (const [what, make] of Object.entries(things)) {
          using memory = SharedMemory.create(freshKey(), 1);
          using other = SharedMemory.attach(memory.key);
          const path = bellOf(memory);
          unlinkSync(path);
          make(path);
          for (let i = 0; i < 2; i++) {
            const waiting = watch(memory.waitForChange(memory.revision, WATCHDOG));
            await setTimeout(3);
            other.notify();
            await settled([waiting]);
          }
          const size = what === "file" || what === "link" ? "untouched".length : undefined;
          if (size !== undefined) assert.equal(lstatSync(what === "file" ? path : elsewhere).size, size, what);
          memory.detach();
          rmSync(path, { recursive: true, force: true });
        }
        rmSync(elsewhere);
      },
    },
    {
      name: "a bell that others fill or empty: no hang, no crash, and the wait is woken",
      needs: "system",
      async run() {
        using memory = SharedMemory.create(freshKey(), 1);
        using other = SharedMemory.attach(memory.key);
        const path = bellOf(memory);
        if (!lstatSync(path).isFIFO()) return; // a socket takes datagrams only, and gives none to others
        const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
        const quietly = (f: () => unknown): void => {
          try {
            f();
          } catch (error) {
            if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
          }
        };
        for (let i = 0; i < 6; i++) {
          const waiting = watch(memory.waitForChange(memory.revision, WATCHDOG));
          for (let turn = 0; turn < 5; turn++) {
            if (i % 2 === 0) for (let n = 0; n < 20; n++) quietly(() => writeSync(fd, new Uint8Array(4096)));
            else quietly(() => readSync(fd, new Uint8Array(1 << 16)));
            if (turn % 2 === 0) await setImmediate();
          }
          assert.equal(waiting.state, "pending", "a ring is a hint, not the news");
          other.notify();
          if (i % 2 === 1) quietly(() => readSync(fd, new Uint8Array(1 << 16)));
          await settled([waiting]);
        }
        closeSync(fd);
      },
    },
    {
      name: "garbage in the table of bells and in the revision: waits, loops and writes go on, or end in typed errors",
      needs: "system",
      run() {
        return withRandomAsync(async (random) => {
          const before = bells();
          for (let round = 0; round < 15; round++) {
            const memory = SharedMemory.create(freshKey(), 1);
            const other = SharedMemory.attach(memory.key);
            if (round % 3 !== 0) bellOf(memory);
            if (round % 2 !== 0) bellOf(other);
            const at = random.of([0, 0, 8, 16, 32]);
            const length = random.of([8, 24, 32, BELLS.count * BELLS.size - at]);
            const bytes = random.below(4) === 0 ? new Uint8Array(length).fill(255) : randomBytes(random, length);
            poke(memory.path, BELLS.offset + at, bytes);
            if (random.below(3) === 0) poke(memory.path, 128, randomBytes(random, 4));
            const since = memory.revision;
            const waiting = [memory, other].map((attachment) => watch(attachment.waitForChange(since, WATCHDOG)));
            const next = watch(memory.changes().next());
            await setImmediate();
            other.write(Uint8Array.of(1));
            await settled([...waiting, next]);
            inspect("memory", memory.key);
            const held = other.lockSync();
            const locking = watch(memory.lock(WATCHDOG));
            await setImmediate();
            held.unlock();
            await settled([locking]);
            memory.detach();
            other.detach();
          }
          // A name that garbage hides is found by nobody but a sweep.
          SharedMemory.create(freshKey(), 1).detach();
          for (const name of bells().filter((name) => !before.includes(name))) rmSync(`${directory()}/${name}`);
        });
      },
    },
    {
      name: "an entry whose owner is dead is freed and its file removed, by whoever rings",
      needs: "system",
      run() {
        using memory = SharedMemory.create(freshKey(), 1);
        const path = `${directory()}/b.${"12".repeat(8)}`;
        writeFileSync(path, "");
        const entry = new DataView(new ArrayBuffer(32));
        entry.setUint32(4, 12345, true); // its owner
        entry.setUint32(8, 1, true); // armed
        entry.setUint32(12, 1, true); // a FIFO
        entry.setBigUint64(16, 0x1212121212121212n, true);
        poke(memory.path, BELLS.offset + BELLS.size * 5, new Uint8Array(entry.buffer));
        poke(memory.path, 128, Uint8Array.of(1)); // somebody waits
        assert.equal(inspect("memory", memory.key)?.waiting, 0, "the dead do not wait");
        memory.notify();
        assert.equal(existsSync(path), false);
      },
    },
  ],
};
