/**
 * What Qt's own test of QSystemSemaphore checks, one test each, numbered as our reference lists them: in every runtime by
 * legacy and by native keys, and in Qt 5 and Qt 6, where the same calls give the same answers.
 */

import { describe, expect, it } from "vitest";
import { semaphore } from "../support/qt_system_v.ts";
import { isQt } from "../support/qt.ts";
import { because } from "../support/skips.ts";
import { CREATE, OPEN, SEMAPHORE } from "./errors.ts";
import { ALL, OURS, type OwnSemaphore, PAIRS, type PeerName, type QtPeer, type Remote, skipOf } from "./peer.ts";
import { testPlace } from "./place.ts";

const place = testPlace();

/** The id of the set of a legacy key. */
function idOf(key: string): number {
  const file = place.traces().files.find((name) => name.startsWith(`qipc_systemsem_${key}`))!;
  return place.semaphoreId(`${place.path}/${file}`)!;
}

const SUBJECTS = [
  ...ALL.map((name) => ({ name, type: "Q" }) as const),
  ...OURS.map((name) => ({ name, type: "T" }) as const),
];

describe.each(SUBJECTS)("tst_QSystemSemaphore in $name, System V $type", ({ name, type }) => {
  const skip = skipOf(name);
  const test = (what: string, f: (peer: QtPeer) => Promise<void>): void =>
    it.skipIf(skip)(because(`tst_QSystemSemaphore ${what}`, skip), async () => await f(await place.peer(name)));

  async function make(peer: QtPeer, key: string, initial = 0, mode = OPEN): Promise<Remote<OwnSemaphore>> {
    if (type === "Q") return await peer.ownSemaphore(key, initial, mode);
    const made = await peer.ownSemaphore("");
    await made.setNativeKey(`systemv-84:${place.path}/${key}`, initial, mode);
    return made;
  }

  const setId = (key: string): number => type === "Q" ? idOf(key) : place.semaphoreId(`${place.path}/${key}`, 0x54)!;

  test("1: keys round-trip, native and legacy, without errors", async (peer) => {
    for (const key of ["one", "two", "Noël"]) {
      const made = await peer.ownSemaphore(key);
      expect([await made.key(), await made.error(), await made.errorString()]).toEqual([key, SEMAPHORE.NoError, ""]);
      if (!isQt(name)) {
        const path = `${place.path}/native`;
        await made.setNativeKey(type === "Q" ? path : `systemv-84:${path}`);
        expect(await made.nativeIpcKey()).toBe(`${type === "Q" ? "systemv" : "systemv-84"}:${path}`);
        expect([await made.key(), await made.error(), await made.errorString()]).toEqual(["", SEMAPHORE.NoError, ""]);
      }
      await made.delete();
    }
    const nameless = await peer.ownSemaphore("");
    expect([await nameless.acquire(), await nameless.release(), await nameless.error()]).toEqual([false, false, SEMAPHORE.KeyError]);
    await nameless.delete();
  });

  test("2: key type can be swapped between two live objects", async (peer) => {
    const [one, two] = [await make(peer, "one", 1), await make(peer, "two", 2)];
    const set = async (object: Remote<OwnSemaphore>, to: "Q" | "T", initial: number): Promise<null> =>
      isQt(name) ? await object.setKey(to, initial) : await object.setNativeKey(`${to === "Q" ? "systemv" : "systemv-84"}:${place.path}/swap`, initial);
    for (const [first, second] of [["Q", "T"], ["T", "Q"]] as const) {
      await set(one, first, 1);
      await set(two, second, 1);
      for (const object of [one, two]) {
        expect(await object.error()).toBe(SEMAPHORE.NoError);
        expect([await object.acquire(), await object.release()]).toEqual([true, true]);
      }
    }
    await one.delete();
    await two.delete();
  });

  test("3: acquire/release with value 1", async (peer) => {
    const made = await make(peer, "three", 1, CREATE);
    const id = setId("three");
    for (let i = 0; i < 2; i++) {
      expect(await made.acquire()).toBe(true);
      expect(semaphore(id)?.value).toBe(0);
      expect(await made.release()).toBe(true);
      expect(semaphore(id)?.value).toBe(1);
    }
    expect([await made.release(0), await made.release(-1), semaphore(id)?.value]).toEqual([true, false, 1]);
    expect([await made.error(), await made.errorString()]).toEqual([SEMAPHORE.NoError, ""]);
    await made.delete();
  });

  test("4: interleaved acquires with value 2", async (peer) => {
    const made = await make(peer, "four", 2, CREATE);
    const id = setId("four");
    const steps = ["acquire", "release", "acquire", "acquire", "release", "acquire", "release", "release"] as const;
    const values: (number | undefined)[] = [];
    for (const step of steps) {
      expect(await made[step]()).toBe(true);
      values.push(semaphore(id)?.value);
    }
    expect(values).toEqual([1, 2, 1, 0, 1, 0, 1, 2]);
    await made.delete();
  });

  test("5: release before acquire from 0 raises the count", async (peer) => {
    const made = await make(peer, "five", 0, CREATE);
    const id = setId("five");
    expect(await made.release()).toBe(true);
    expect(semaphore(id)?.value).toBe(1);
    expect(await made.acquire()).toBe(true);
    expect(await made.release(2)).toBe(true);
    expect(semaphore(id)?.value).toBe(2);
    await made.delete();
  });

  test("6: two objects on one key share the count", async (peer) => {
    const [one, two] = [await make(peer, "six", 1, CREATE), await make(peer, "six", 7)];
    const id = setId("six");
    expect(semaphore(id)?.value, "Open keeps it").toBe(1);
    expect(await one.acquire()).toBe(true);
    expect(semaphore(id)?.value).toBe(0);
    expect(await two.release(2)).toBe(true);
    expect(await one.acquire()).toBe(true);
    expect(await two.acquire()).toBe(true);
    expect(semaphore(id)?.value).toBe(0);
    const three = await make(peer, "six", 4, CREATE);
    expect(semaphore(id)?.value, "Create sets it").toBe(4);
    for (const object of [three, two, one]) await object.delete();
  });
});

/** Each kind once as the first and once as the second, beside another. */
const SOME_PAIRS: readonly (readonly [PeerName, PeerName])[] = PAIRS.filter(([a, b]) =>
  ALL.indexOf(b) === (ALL.indexOf(a) + 1) % ALL.length || (isQt(a) !== isQt(b) && ALL.indexOf(a) % 2 === ALL.indexOf(b) % 2)
);

describe.each(SOME_PAIRS)("tst_QSystemSemaphore, %s and %s", (first, second) => {
  const skip = skipOf(first, second);
  const test = (what: string, f: () => Promise<void>): void =>
    it.skipIf(skip)(because(`tst_QSystemSemaphore ${what}`, skip), f);

  test("6: two objects on one key share the count, also in two processes", async () => {
    const [a, b] = await place.pair(first, second);
    const one = await a.semaphore("six", 2, CREATE);
    const two = await b.semaphore("six", 7);
    const id = idOf("six");
    expect([await one.acquire(), await two.acquire(), semaphore(id)?.value]).toEqual([true, true, 0]);
    const acquired = one.acquire();
    await place.waiting(id);
    expect(await two.release()).toBe(true);
    expect(await acquired).toBe(true);
    expect(await one.release(2)).toBe(true);
    expect(semaphore(id)?.value).toBe(2);
    await two.delete();
    expect(semaphore(id)?.value, "it is of who made it").toBe(2);
    await one.delete();
  });

  test("7: a process blocked in acquire stays blocked, killed, and a releasing process ends normally", async () => {
    const keeper = await (await place.peer(second)).semaphore("seven", 0, CREATE);
    const id = idOf("seven");
    const [blocked, releasing] = [await place.another(first), await place.another(second)];
    const [acquiring, other] = [await blocked.semaphore("seven"), await releasing.semaphore("seven")];
    acquiring.acquire().catch(() => {});
    await place.waiting(id);
    expect(blocked.hasEnded).toBe(false);
    await blocked.kill();
    expect(semaphore(id)).toMatchObject({ value: 0, waiters: 0 });
    expect(await other.release()).toBe(true);
    expect(semaphore(id)?.value).toBe(1);
    expect(await releasing.leave("exit")).toBe(0);
    expect(semaphore(id)?.value, "the kernel takes a release back, too").toBe(0);
    await keeper.delete();
  });

  test("9: undo: a process exits with an un-released acquire, the next one still gets it", async () => {
    const keeper = await (await place.peer(second)).semaphore("nine", 1, CREATE);
    const id = idOf("nine");
    for (const end of ["exit", "kill"] as const) {
      const ending = await place.another(first);
      expect(await (await ending.semaphore("nine")).acquire()).toBe(true);
      expect(semaphore(id)?.value).toBe(0);
      const acquired = keeper.acquire();
      await place.waiting(id);
      await (end === "exit" ? ending.leave("exit") : ending.kill());
      expect(await acquired).toBe(true);
      expect(await keeper.release()).toBe(true);
    }
    await keeper.delete();
  });

  test("10: initial value 1: one acquirer passes, one asking for 2 blocks, a release lets it go", async () => {
    const keeper = await (await place.peer(second)).semaphore("ten", 1, CREATE);
    const id = idOf("ten");
    const [one, two] = [await place.another(first), await place.another(first)];
    const passing = await one.semaphore("ten");
    expect([await passing.acquire(), await passing.release()]).toEqual([true, true]);
    const asking = await two.semaphore("ten");
    expect(await asking.acquire()).toBe(true);
    const acquired = asking.acquire();
    await place.waiting(id);
    expect(await keeper.release()).toBe(true);
    expect(await acquired).toBe(true);
    expect(await asking.release(2)).toBe(true);
    expect(semaphore(id)?.value).toBe(2);
    await keeper.delete();
  });
});

describe("tst_QSystemSemaphore", () => {
  const kinds = ALL.filter((name) => skipOf(name) === undefined);
  it.each([1, 3, 10])("tst_QSystemSemaphore 8: %i processes of all kinds doing acquire-release all exit 0", async (count) => {
    const keeper = await (await place.peer(kinds[count % kinds.length]!)).semaphore("eight", 1, CREATE);
    const id = idOf("eight");
    const peers = await Promise.all(Array.from({ length: count }, (_, i) => place.another(kinds[i % kinds.length]!)));
    const ends = await Promise.all(peers.map(async (peer) => {
      const made = await peer.semaphore("eight");
      expect([await made.acquire(), await made.release()]).toEqual([true, true]);
      return await peer.leave("exit");
    }));
    expect(ends).toEqual(peers.map(() => 0));
    expect(semaphore(id)?.value).toBe(1);
    await keeper.delete();
  });
});
