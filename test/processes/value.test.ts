/**
 * A shared value between processes: whole at any time, never older than one that was seen, whoever is killed or stopped
 * wherever; and no update lost.
 */

import { describe, expect, it } from "vitest";
import { testDirectory } from "../support/directory.ts";
import { peek } from "../support/kernel.ts";
import { Peer } from "../support/peer.ts";
import { printedRandom } from "../support/random.ts";
import { type RuntimeName, RUNTIMES } from "../support/runtimes.ts";
import { stopped } from "../support/stopped.ts";
import { valueTorture } from "../torture/value.ts";
import type { Performed } from "./value/parts.ts";

const PARTS = new URL("./value/parts.ts", import.meta.url).href;
const WORKER = new URL("../torture/value_worker.ts", import.meta.url).href;
const KEY = "value";
const SIZE = 4096;
const LARGE = 1 << 20;
const MOST_STEPS = 60;
const KILLS = 500;
const UPDATES = 2500;
/** Where the word stands that names the reader who keeps a buffer (c/src/layout.h). */
const PIN = 280;
const COUNT = { step: 0, action: "count" } as const;
const SET_STEPS = ["buffer claimed", "buffer written", "value current", "buffer given back", "written", "bumped"];
const rotated = (i: number): RuntimeName => RUNTIMES[i % RUNTIMES.length]!;

async function start(runtime: RuntimeName, directory: string, maxSize = SIZE): Promise<Peer> {
  const peer = await Peer.start(runtime, { directory, faults: true });
  await peer.call(PARTS, "open", { key: KEY, maxSize });
  return peer;
}

const set = (peer: Peer, counter: number, fault: object = COUNT): Promise<Performed> =>
  peer.call<Performed>(PARTS, "set", { counter, size: SIZE, ...fault });
const get = (peer: Peer, fault: object = COUNT): Promise<Performed> => peer.call<Performed>(PARTS, "get", fault);

async function closeAll(peers: readonly Peer[]): Promise<void> {
  for (const peer of peers) await peer.run((_api, { value }) => void value.close());
}

describe("value between processes", () => {
  it("every get is whole and none is older than one before when writers are killed at random", { timeout: 600_000 }, async () => {
    using directory = testDirectory();
    const random = printedRandom("value");
    const result = await valueTorture({ directory: directory.path, kills: KILLS, random });
    console.log(`value: killed ${JSON.stringify(result.killed)}, ${result.sets} set, read ${JSON.stringify(result.gets)}`);
    expect(result.violations).toEqual([]);
    expect(Object.values(result.killed).reduce((a, b) => a + b)).toBe(KILLS);
    for (const gets of Object.values(result.gets)) expect(gets).toBeGreaterThan(100);
    expect(directory.entries()).toEqual([]);
  });

  for (const [i, victim] of RUNTIMES.entries()) {
    it(`others read and set while writers, the first in ${victim}, are stopped at any step of set()`, async () => {
      using directory = testDirectory();
      const random = printedRandom(`stopped writers, ${victim}`);
      const hits: Record<string, number> = {};
      await using stack = new AsyncDisposableStack();
      const [first, second, reader, writer] = await Promise.all(
        [i, i + 1, i + 1, i + 2].map(async (j) => stack.use(await start(rotated(j), directory.path))),
      ) as [Peer, Peer, Peer, Peer];
      let counter = 0;
      await set(writer, ++counter);
      for (let step = 1, most = MOST_STEPS; step <= most; step++) {
        const performed: Promise<Performed>[] = [];
        for (const peer of [first, second]) {
          const fault = { step: peer === first ? step : 1 + random.below(SET_STEPS.length), action: "stop" };
          const done = set(peer, ++counter, fault);
          performed.push(done);
          await Promise.race([stopped(peer.pid), done]);
        }
        for (let turn = 0; turn < 5; turn++) {
          await set(writer, ++counter);
          expect((await get(reader)).counter).toBe(counter);
        }
        for (const peer of [first, second]) peer.signal("SIGCONT");
        const { steps } = (await Promise.all(performed))[0]!;
        await get(reader);
        // Nothing that was set is lost: each has its number.
        expect(await reader.run((_api, { value }) => value.revision)).toBe(counter);
        const hit = steps[step - 1];
        if (hit === undefined) most = step;
        else hits[hit] = (hits[hit] ?? 0) + 1;
      }
      await closeAll([first, second, reader, writer]);
      console.log(`writers stopped in ${victim}: ${JSON.stringify(hits)}`);
      expect(Object.keys(hits)).toEqual(expect.arrayContaining(SET_STEPS));
      expect(directory.entries()).toEqual([]);
    });

    it(`the value is the old or the new one after a writer in ${victim} was killed at any step of set()`, async () => {
      using directory = testDirectory();
      await using stack = new AsyncDisposableStack();
      const [reader, writer] = await Promise.all(
        [i + 1, i + 2].map(async (j) => stack.use(await start(rotated(j), directory.path))),
      ) as [Peer, Peer];
      let counter = 0;
      let step = 1;
      for (let died = true; died; step++) {
        await set(writer, ++counter);
        await using peer = await start(victim, directory.path);
        const old = counter;
        died = await set(peer, ++counter, { step, action: "kill" }).then(() => false, () => true);
        await peer.kill();
        const { counter: seen } = await get(reader);
        const where = `killed at step ${step} (${SET_STEPS[step - 1]})`;
        expect(seen, where).toBe(died && step < 3 ? old : counter); // from the third on it is current
        expect(step).toBeLessThan(MOST_STEPS);
      }
      expect(step).toBeGreaterThan(SET_STEPS.length);
      // What the dead had claimed can be had.
      for (let turn = 0; turn < 8; turn++) await set(writer, ++counter);
      expect((await get(reader)).counter).toBe(counter);
      await closeAll([reader, writer]);
      expect(directory.entries()).toEqual([]);
    });

    it(`a reader in ${victim} that is stopped, or killed, at any step of get() is in nobody's way`, async () => {
      using directory = testDirectory();
      await using stack = new AsyncDisposableStack();
      const [other, writer, patient] = await Promise.all(
        [i + 1, i + 2, i].map(async (j) => stack.use(await start(rotated(j), directory.path))),
      ) as [Peer, Peer, Peer];
      let counter = 0;
      for (const action of ["stop", "kill"] as const) {
        for (let step = 1, goesOn = true; goesOn; step++) {
          await set(writer, ++counter);
          const peer = action === "stop" ? patient : stack.use(await start(victim, directory.path));
          const done = get(peer, { step, action });
          const died = done.then(() => false, () => true);
          await (action === "stop" ? Promise.race([stopped(peer.pid), done]) : died);
          for (let turn = 0; turn < 8; turn++) {
            await set(writer, ++counter);
            expect((await get(other)).counter).toBe(counter);
          }
          peer.signal("SIGCONT");
          goesOn = action === "kill" ? await died : (await done).steps.length >= step;
          // What it goes on to read is whole, and the newest if it had to read again.
          if (action === "stop" && goesOn) expect((await done).counter).toBe(counter);
          if (action === "kill") await peer.kill();
        }
      }
      await closeAll([other, writer, patient]);
      expect(directory.entries()).toEqual([]);
    });
  }

  // In one runtime: how long it takes until it has copied in vain eight times is up to chance.
  // On a busy machine, where they hardly run at the same time, that is long.
  it("a reader that keeps its buffer gets it, beside a writer that is stopped there", { timeout: 300_000, retry: 2 }, async () => {
    using directory = testDirectory();
    await using stack = new AsyncDisposableStack();
    const [reader, ...writers] = await Promise.all(
      [0, 1, 2].map(async (j) => stack.use(await start(rotated(j), directory.path, LARGE))),
    ) as [Peer, Peer, Peer];
    for (const writer of writers) await writer.call(PARTS, "flood", LARGE);
    // Two steps for each of the eight times that it copies in vain; then it keeps one.
    const done = reader.call<Performed>(PARTS, "getDisturbed", 17);
    await Promise.race([stopped(reader.pid), done]);
    const path = `${directory.path}/v-${KEY}`;
    expect(peek(path, PIN, 4).getUint32(0, true)).not.toBe(0);
    for (const writer of writers) await writer.call(WORKER, "end");
    const last = writers[0]!.call<Performed>(PARTS, "set", { counter: 7, size: LARGE, step: 3, action: "stop" });
    await stopped(writers[0]!.pid);
    reader.signal("SIGCONT");
    expect((await done).counter).toBe(7);
    writers[0]!.signal("SIGCONT");
    expect((await last).steps[2]).toBe("value current");
    await closeAll([reader, ...writers]);
    expect(directory.entries()).toEqual([]);
  });

  it(`update() loses no count when four processes add ${UPDATES} each`, { timeout: 300_000 }, async () => {
    using directory = testDirectory();
    await using stack = new AsyncDisposableStack();
    const peers = await Promise.all(
      [...RUNTIMES, printedRandom("update").of(RUNTIMES)].map(async (runtime) =>
        stack.use(await Peer.start(runtime, { directory: directory.path }))
      ),
    );
    for (const peer of peers) await peer.run(({ SharedValue }, state) => void (state.value = SharedValue.open("count")));
    await Promise.all(peers.map((peer) =>
      peer.run(async (_api, { value }, times) => {
        for (let i = 0; i < times; i++) await value.update((n = 0) => n + 1);
      }, UPDATES)
    ));
    for (const peer of peers) expect(await peer.run((_api, { value }) => value.get())).toBe(4 * UPDATES);
    await closeAll(peers);
    expect(directory.entries()).toEqual([]);
  });
});
