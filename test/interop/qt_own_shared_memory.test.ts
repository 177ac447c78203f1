/**
 * What Qt's own test of QSharedMemory checks, one test each: the numbers are those of Qt's test functions as our reference lists
 * them. Ours passes them in every runtime, by legacy keys and by native keys of another project (T, as Qt's tests have
 * it); and the same calls in Qt 5 and Qt 6 give the same answers, since it is the same test over them.
 */

import { describe, expect, it } from "vitest";
import { Program } from "../support/program.ts";
import { semaphore } from "../support/qt_system_v.ts";
import { isQt } from "../support/qt.ts";
import { because, SKIPS } from "../support/skips.ts";
import { MEMORY, READ_ONLY } from "./errors.ts";
import { ALL, type Memory, OURS, type OwnMemory, type PeerName, type QtPeer, type Remote, skipOf } from "./peer.ts";
import { testPlace } from "./place.ts";

const place = testPlace();

/** A peer, and by which keys it finds a segment. */
interface Subject {
  readonly name: PeerName;
  readonly type: "Q" | "T";
}

const SUBJECTS: readonly Subject[] = [
  ...ALL.map((name) => ({ name, type: "Q" }) as const),
  ...OURS.map((name) => ({ name, type: "T" }) as const),
];

const PROJECTS = { Q: 0x51, T: 0x54 } as const;

describe.each(SUBJECTS)("tst_QSharedMemory in $name, System V $type", ({ name, type }) => {
  const skip = skipOf(name);
  const test = (what: string, f: (peer: QtPeer) => Promise<void>, more = skip): void =>
    it.skipIf(more)(because(`tst_QSharedMemory ${what}`, more), async () => await f(await place.peer(name)));

  async function make(peer: QtPeer, key: string): Promise<Remote<OwnMemory>> {
    if (type === "Q") return await peer.ownMemory(key);
    const memory = await peer.ownMemory();
    await memory.setNativeKey(`systemv-84:${place.path}/${key}`);
    return memory;
  }

  async function lockValue(memory: Remote<OwnMemory>): Promise<number | undefined> {
    const file = await memory.nativeKey();
    return semaphore(place.semaphoreId(type === "Q" ? file.replace("sharedmemory", "systemsem") : file, PROJECTS[type])!)?.value;
  }

  /** Without memory: as a new object. */
  async function expectDetached(memory: Remote<OwnMemory>): Promise<void> {
    expect([await memory.isAttached(), await memory.hasData(), await memory.size()]).toEqual([false, false, 0]);
  }

  async function expectFine(memory: Remote<OwnMemory>): Promise<void> {
    expect([await memory.error(), await memory.errorString()]).toEqual([MEMORY.NoError, ""]);
  }

  async function expectError(memory: Remote<OwnMemory>, error: keyof typeof MEMORY): Promise<void> {
    expect(await memory.error()).toBe(MEMORY[error]);
    expect(await memory.errorString()).not.toBe("");
  }

  test("1: default object: not attached, data null, size 0, keys empty, NoError, empty errorString", async (peer) => {
    const memory = await peer.ownMemory();
    await expectDetached(memory);
    await expectFine(memory);
    expect([await memory.key(), await memory.nativeKey()]).toEqual(["", ""]);
    expect([await memory.detach(), await memory.unlock()]).toEqual([false, false]);
    await expectFine(memory);
    await memory.delete();
  });

  test("2: constructor key and setNativeKey round-trip, without attaching or raising errors", async (peer) => {
    for (const key of ["", "one", "two", "o/e", "|x", "Noël"]) {
      const memory = await peer.ownMemory(key);
      expect([await memory.key(), await memory.nativeKey() === ""]).toEqual([key, key === ""]);
      await expectFine(memory);
      await memory.setNativeKey(key);
      expect([await memory.key(), await memory.nativeKey()]).toEqual(["", key]);
      await expectFine(memory);
      await expectDetached(memory);
      await memory.delete();
    }
    expect(place.traces().files).toEqual([]);
  });

  test("3: changing to another key type works on a live object; still detached, NoError; detach() false", async (peer) => {
    const memory = await make(peer, "live");
    const other = `${place.path}/other`;
    for (const written of isQt(name) ? [other] : [`systemv:${other}`, `systemv-84:${other}`, other]) {
      await memory.setNativeKey(written);
      expect(await memory.nativeKey()).toBe(other);
      await expectFine(memory);
      await expectDetached(memory);
      expect(await memory.detach()).toBe(false);
      await expectFine(memory);
    }
    await memory.delete();
  });

  test("4: key() returns what was set; nativeKey empty iff key empty; setNativeKey makes key() null", async (peer) => {
    const memory = await peer.ownMemory();
    for (const key of ["one", "", "two"]) {
      await memory.setKey(key);
      expect([await memory.key(), await memory.nativeKey() === ""]).toEqual([key, key === ""]);
    }
    await memory.setNativeKey(`${place.path}/native`);
    expect([await memory.key(), await memory.nativeKey()]).toEqual(["", `${place.path}/native`]);
    await memory.setNativeKey("");
    expect([await memory.key(), await memory.nativeKey()]).toEqual(["", ""]);
    await memory.delete();
  });

  test("5: create with null key -> KeyError; size -1 -> InvalidSize; existing -> AlreadyExists; failures leave data null", async (peer) => {
    const nameless = await peer.ownMemory();
    expect(await nameless.create(1)).toBe(false);
    await expectError(nameless, "KeyError");
    await expectDetached(nameless);
    const [memory, other] = [await make(peer, "five"), await make(peer, "five")];
    for (const size of [-1, 0]) {
      expect(await memory.create(size)).toBe(false);
      await expectError(memory, "InvalidSize");
      await expectDetached(memory);
    }
    expect(await memory.create(1024)).toBe(true);
    await expectFine(memory);
    expect([await memory.size(), await memory.hasData()]).toEqual([1024, true]);
    expect(await other.create(1024)).toBe(false);
    await expectError(other, "AlreadyExists");
    await expectDetached(other);
    expect(await memory.create(1)).toBe(false);
    await expectError(memory, "AlreadyExists");
    expect([await memory.isAttached(), await memory.size()]).toEqual([true, 1024]);
    for (const object of [nameless, other, memory]) await object.delete();
  });

  test("6: attach null -> KeyError; missing -> NotFound; existing -> ok; detach, attach again, detach again all work", async (peer) => {
    const nameless = await peer.ownMemory();
    expect(await nameless.attach()).toBe(false);
    await expectError(nameless, "KeyError");
    const [memory, other] = [await make(peer, "six"), await make(peer, "six")];
    expect(await other.attach()).toBe(false);
    await expectError(other, "NotFound");
    expect(await other.detach()).toBe(false);
    await expectError(other, "NotFound"); // it stays
    expect(await memory.create(1024)).toBe(true);
    for (let i = 0; i < 2; i++) {
      expect(await other.attach()).toBe(true);
      await expectFine(other);
      expect([await other.size(), await other.hasData()]).toEqual([1024, true]);
      expect(await other.attach(), "it is attached").toBe(false);
      await expectFine(other);
      expect(await other.detach()).toBe(true);
      await expectFine(other);
      await expectDetached(other);
    }
    for (const object of [nameless, other, memory]) await object.delete();
  });

  test("7: after switching key type attach() fails with NotFound (other namespace)", async (peer) => {
    const memory = await make(peer, "seven");
    expect(await memory.create(1)).toBe(true);
    const path = await memory.nativeKey();
    // Ours knows both types: one file, two numbers. Qt before 6.6 knows one, and a native key's file is another.
    const native = isQt(name) ? `${place.path}/seven` : `systemv-${type === "Q" ? 84 : 81}:${path}`;
    const other = await make(peer, "seven");
    await other.setNativeKey(native);
    expect(await other.attach()).toBe(false);
    await expectError(other, "NotFound");
    await other.delete();
    await memory.delete();
  });

  test("8: lock() before key or create -> LockError; after create ok; a second lock() true; destructor with held lock", async (peer) => {
    const nameless = await peer.ownMemory();
    expect(await nameless.lock()).toBe(false);
    await expectError(nameless, "LockError");
    const [memory, other] = [await make(peer, "eight"), await make(peer, "eight")];
    expect(await memory.lock()).toBe(false);
    await expectError(memory, "LockError");
    expect(await memory.create(1)).toBe(true);
    await expectFine(memory);
    expect(await other.attach()).toBe(true);
    // Qt warns at the second lock() and in the destructor; ours, where both are as much to be expected, says nothing.
    expect([await memory.lock(), await memory.lock()]).toEqual([true, true]);
    expect(await lockValue(memory)).toBe(0);
    await expectFine(memory);
    expect([await memory.unlock(), await memory.unlock()]).toEqual([true, false]);
    expect(await lockValue(memory)).toBe(1);
    expect(await memory.lock()).toBe(true);
    await memory.delete();
    expect(await other.lock()).toBe(true);
    expect(await other.unlock()).toBe(true);
    await other.delete();
    await nameless.delete();
  });

  test("9: creator and second handle in the same process deleted in order -> a third attach gets NotFound", async (peer) => {
    const [memory, second, third] = [await make(peer, "nine"), await make(peer, "nine"), await make(peer, "nine")];
    expect(await memory.create(1)).toBe(true);
    expect(await second.attach()).toBe(true);
    await memory.delete();
    await second.delete();
    expect(await third.attach()).toBe(false);
    await expectError(third, "NotFound");
    await third.delete();
  });

  test("10: new memory is all zero (created ReadOnly)", async (peer) => {
    const memory = await make(peer, "ten");
    expect(await memory.create(5000, READ_ONLY)).toBe(true);
    expect([await memory.size(), await memory.read(0, 5000)]).toEqual([5000, "00".repeat(5000)]);
    await memory.delete();
  });

  if (isQt(name)) {
    test("11: writing to a ReadOnly segment crashes the process", async (peer) => {
      const [memory, dying] = [await make(peer, "eleven"), await place.another(name)];
      const other = await make(dying, "eleven");
      expect(await memory.create(1)).toBe(true);
      expect(await other.attach(READ_ONLY)).toBe(true);
      await expect(other.write(0, "ff")).rejects.toThrow();
      expect(await dying.exited()).toBe("SIGSEGV");
      expect(await memory.read(0, 1)).toBe("00");
      await memory.delete();
    });
  } else {
    test("11 turned round: data() of a ReadOnly segment is a fresh copy at each call, and writing to it is no crash", async (peer) => {
      const [memory, other] = [await make(peer, "eleven"), await make(peer, "eleven")];
      expect(await memory.create(2)).toBe(true);
      expect(await other.attach(READ_ONLY)).toBe(true);
      await other.write(0, "ffff"); // to what data() gave
      expect([await other.read(0, 2), await memory.read(0, 2)]).toEqual(["0000", "0000"]);
      await memory.write(1, "7f");
      expect(await other.read(0, 2)).toBe("007f");
      expect(peer.hasEnded).toBe(false);
      await other.delete();
      await memory.delete();
    });
  }

  test("12: producer/consumer in one process: different addresses, every byte visible at once, detach ok", async (peer) => {
    for (const mode of [undefined, READ_ONLY]) {
      const [producer, consumer] = [await make(peer, "twelve"), await make(peer, "twelve")];
      expect(await producer.create(256)).toBe(true);
      expect(await consumer.attach(mode)).toBe(true);
      // Two mappings, hence two addresses.
      expect(place.segment(await producer.nativeKey(), PROJECTS[type])?.attachments).toBe(2);
      for (let i = 0; i < 256; i += 15) {
        const byte = i.toString(16).padStart(2, "0");
        await producer.write(i, byte);
        expect(await consumer.read(i, 1)).toBe(byte);
      }
      expect(await consumer.detach()).toBe(true);
      expect(await producer.detach()).toBe(true);
      await consumer.delete();
      await producer.delete();
    }
  });

  test("13: create-detach-create of the same key with the same object works; then another handle attaches", async (peer) => {
    const [memory, other] = [await make(peer, "thirteen"), await make(peer, "thirteen")];
    expect(await memory.create(10)).toBe(true);
    expect(await memory.detach()).toBe(true);
    expect(await memory.create(20)).toBe(true);
    expect(await other.attach()).toBe(true);
    expect([await memory.size(), await other.size()]).toEqual([20, 20]);
    await memory.delete();
    await other.delete();
  });

  // 32 MiB each, in an IPC namespace where nobody else wants as many.
  test("16: use too much memory -> OutOfResources or LockError, object clean, attach/detach false", async () => {
    const few = ["unshare", "--ipc", "sh", "-c", `echo 6 > /proc/sys/kernel/shmmni; exec "$0" "$@"`];
    const peer = await place.another(name, few);
    const objects: Remote<OwnMemory>[] = [];
    for (;;) {
      objects.push(await make(peer, `sixteen-${"x".repeat(objects.length)}`));
      if (!(await objects.at(-1)!.create(32 << 20))) break;
      await expectFine(objects.at(-1)!);
    }
    expect(objects.length).toBe(7);
    const last = objects.at(-1)!;
    await expectError(last, "OutOfResources");
    await expectDetached(last);
    expect([await last.attach(), await last.detach()]).toEqual([false, false]);
    await expectDetached(last);
    for (const object of objects) await object.delete();
  }, skip ?? SKIPS.root);

  test("17: native keys equal iff keys equal", async (peer) => {
    const KEYS = ["", "key", "key1", "ke1y", "Noël", "Nol"];
    const natives: string[] = [];
    for (const key of KEYS) {
      const [memory, again] = [await peer.ownMemory(key), await peer.ownMemory(key)];
      natives.push(await memory.nativeKey());
      expect(await again.nativeKey()).toBe(natives.at(-1));
      await memory.delete();
      await again.delete();
    }
    expect(new Set(natives).size).toBe(KEYS.length);
  });

  test("18: while one lives, a second object's create() fails, attach() works, and after its end the same holds again", async (peer) => {
    const memory = await make(peer, "eighteen");
    expect(await memory.create(10)).toBe(true);
    for (let i = 0; i < 2; i++) {
      const second = await make(peer, "eighteen");
      expect(await second.create(10)).toBe(false);
      await expectError(second, "AlreadyExists");
      expect(await second.attach()).toBe(true);
      await expectFine(second);
      await second.delete();
    }
    await memory.delete();
  });
});

const HAND_OVER = new URL("./threads/hand_over.ts", import.meta.url).pathname;
/** See test/processes/workers.test.ts. */
const FLAGS = { deno: [], bun: [], node: ["--no-concurrent-recompilation"] } as const;

describe("tst_QSharedMemory", () => {
  for (const runtime of OURS) {
    it(`tst_QSharedMemory 14: threads of ${runtime}: 1 and 5 consumers, producer as a thread or not, 5 hand-overs`, async () => {
      await using program = new Program(runtime, HAND_OVER, { directory: place.path, env: { TMPDIR: place.path }, flags: FLAGS[runtime] });
      place.watch(program.pid);
      const lines: string[] = [];
      for (let line = ""; line !== "end";) lines.push(line = await program.line());
      expect(lines, program.stderr).toEqual([
        "1 consumers, producer in main: 5 taken",
        "1 consumers, producer in a thread: 5 taken",
        "5 consumers, producer in main: 5 taken",
        "5 consumers, producer in a thread: 5 taken",
        "end",
      ]);
      expect(await program.exited()).toBe(0);
    });
  }

  // Qt's test of this is skipped as unstable. With Qt 5 and 6 on all sides, polling from the start, two held the lock in 9 of 20
  // runs (how Qt makes a lock has races); with ours alone in none of 20. So where Qt takes part, the producer makes it first;
  // ours alone poll from the start.
  const five = OURS.concat(OURS).slice(0, 5);
  const rounds = OURS.flatMap((producer) => [[producer, five], [producer, ALL.filter((name) => skipOf(name) === undefined)]] as const);
  it.each(rounds)("tst_QSharedMemory 15: processes: producer %s, consumers %j, 5 hand-overs", async (producer, kinds) => {
    const [peer, ...consumers] = await Promise.all([producer, ...kinds].map((name) => place.another(name)));
    const key = place.freshKey();
    const EMPTY = "00", OFFERED = "01", END = "ff";
    const taken: number[] = [];
    const consume = async (consumer: QtPeer): Promise<Remote<Memory>> => {
      const memory = await consumer.memory(key);
      while (!(await memory.attach())) expect([MEMORY.NotFound, MEMORY.KeyError]).toContain(await memory.error());
      for (let state = ""; state !== END;) {
        expect(await memory.lock()).toBe(true);
        if (state === "") await memory.write(2, `0${Number(await memory.read(2, 1)) + 1}`);
        state = await memory.read(0, 1);
        if (state === OFFERED) {
          taken.push(Number(await memory.read(1, 1)));
          await memory.write(0, EMPTY);
        }
        expect(await memory.unlock()).toBe(true);
      }
      return memory;
    };
    const made = await peer!.memory(key);
    const isFirst = kinds.some(isQt);
    if (isFirst) expect(await made.create(1024)).toBe(true);
    const produce = async (memory: Remote<Memory>): Promise<Remote<Memory>> => {
      if (!isFirst) expect(await memory.create(1024)).toBe(true);
      for (let i = 1; i <= 6;) {
        expect(await memory.lock()).toBe(true);
        const isEverybodyThere = Number(await memory.read(2, 1)) === consumers.length;
        if (await memory.read(0, 1) === EMPTY && (i <= 5 || isEverybodyThere)) {
          await memory.write(0, i <= 5 ? `${OFFERED}0${i}` : END);
          i++;
        }
        expect(await memory.unlock()).toBe(true);
      }
      return memory;
    };
    // Only then do they go: a Qt program that made the lock removes it when it goes, while others hold it.
    const memories = await Promise.all([produce(made), ...consumers.map(consume)]);
    for (const memory of memories) await memory.delete();
    expect(taken).toEqual([1, 2, 3, 4, 5]);
  });
});
