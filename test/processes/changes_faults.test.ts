/**
 * Publishers and readers that are stopped, killed and failed at every step of telling of a change and of waiting for one.
 * A live publisher's change is seen all the same, by the bell alone: the reader's timers are held.
 */

import { describe, expect, it } from "vitest";
import { testDirectory } from "../support/directory.ts";
import { armed, bellEntries } from "../support/kernel.ts";
import { Peer } from "../support/peer.ts";
import { printedRandom } from "../support/random.ts";
import { type RuntimeName, RUNTIMES } from "../support/runtimes.ts";
import { stopped } from "../support/stopped.ts";
import type { Fault } from "./changes/parts.ts";

const PARTS = new URL("./changes/parts.ts", import.meta.url).href;
const KEY = "faults";
const MOST_STEPS = 60;
const rotated = (i: number): RuntimeName => RUNTIMES[i % RUNTIMES.length]!;

const act = <R>(peer: Peer, name: string, argument?: unknown): Promise<R> => peer.call<R>(PARTS, name, argument);

async function start(runtime: RuntimeName, directory: string, held = true): Promise<Peer> {
  const peer = await Peer.start(runtime, { directory, faults: true });
  await act(peer, "attach", { key: KEY, held });
  return peer;
}

async function detachAll(peers: readonly Peer[]): Promise<void> {
  for (const peer of peers) await peer.run((_api, { memory }) => void memory.detach());
}

/** So that the next act has the steps of a first one: it makes, or looks for, bells. */
async function attachAnew(peer: Peer, held = true): Promise<void> {
  await peer.run((_api, { memory }) => void memory.detach());
  await act(peer, "attach", { key: KEY, held });
}

/** One that publishes and lives: its change must be seen. */
async function publishAndSee(live: Peer, reader: Peer): Promise<void> {
  await live.run((_api, { memory }) => memory.notify());
  await act(reader, "seesNewest");
}

/** What the reader does while somebody publishes: it sleeps, or it has been woken, and comes to sleep meanwhile. */
type ReaderState = "sleeps" | "falls asleep";

async function prepareReader(reader: Peer, live: Peer, path: string, what: ReaderState): Promise<void> {
  if (what === "sleeps") {
    await act(reader, "watch");
    return await armed(path, 1);
  }
  await act(reader, "beginWait", { step: 0, action: "count" });
  await live.run((_api, { memory }) => memory.notify());
  await act(reader, "endWait");
}

describe.concurrent("changes and faults", () => {
  for (const [i, victim] of RUNTIMES.entries()) {
    it(`a change is seen while publishers, the first in ${victim}, are stopped at any step`, { timeout: 300_000 }, async () => {
      const random = printedRandom(`stopped publishers, ${victim}`);
      const hits: Record<string, number> = {};
      for (const runtime of RUNTIMES) {
        using directory = testDirectory();
        const path = `${directory.path}/m-${KEY}`;
        await using reader = await start(runtime, directory.path);
        await using live = await start(rotated(i + 2), directory.path);
        await using first = await start(victim, directory.path);
        await using second = await start(rotated(i + 1), directory.path);
        await using third = await start(rotated(i + 2), directory.path);
        for (const what of ["sleeps", "falls asleep"] as const) {
          let most = MOST_STEPS;
          for (let step = 1; step <= most; step++) {
            await attachAnew(first);
            await prepareReader(reader, live, path, what);
            const performed: Promise<string[]>[] = [];
            for (const publisher of [first, second, third]) {
              const fault: Fault = { step: publisher === first ? step : 1 + random.below(9), action: "stop" };
              const done = act<string[]>(publisher, "publish", fault);
              performed.push(done);
              await Promise.race([stopped(publisher.pid), done]);
            }
            if (what === "falls asleep") {
              await act(reader, "watch");
              await armed(path, 1);
            }
            await publishAndSee(live, reader);
            for (const publisher of [first, second, third]) publisher.signal("SIGCONT");
            const names = (await Promise.all(performed))[0]!;
            await publishAndSee(live, reader);
            await act(reader, "stopWatching");
            const hit = names[step - 1];
            if (hit === undefined) most = step;
            else hits[hit] = (hits[hit] ?? 0) + 1;
          }
          expect(most).toBeLessThan(MOST_STEPS);
        }
        await detachAll([reader, live, first, second, third]);
        expect(directory.entries()).toEqual([]);
      }
      console.log(`publishers stopped in ${victim}: ${JSON.stringify(hits)}`);
      expect(Object.keys(hits)).toEqual(expect.arrayContaining(
        ["written", "bumped", "futex wake", "fcntl query", "reach bell", "ring", "bell rung", "nobody woken", "waiting cleared"],
      ));
    });

    it(`a change is seen after a publisher in ${victim} was killed at any step`, { timeout: 300_000 }, async () => {
      let kills = 0;
      for (const [j, runtime] of RUNTIMES.entries()) {
        using directory = testDirectory();
        const path = `${directory.path}/m-${KEY}`;
        await using reader = await start(runtime, directory.path);
        await using live = await start(rotated(i + 2), directory.path);
        let next = start(victim, directory.path);
        // The second is the same for every reader: nobody rings.
        for (const what of i === j ? ["sleeps", "falls asleep"] as const : ["sleeps"] as const) {
          for (let step = 1;; step++) {
            await prepareReader(reader, live, path, what);
            await using publisher = await next;
            next = start(victim, directory.path);
            const died = await act(publisher, "publish", { step, action: "kill" }).then(() => false, () => true);
            if (what === "falls asleep") {
              await act(reader, "watch");
              await armed(path, 1);
            }
            await publisher.kill();
            await publishAndSee(live, reader);
            await act(reader, "stopWatching");
            if (!died) break;
            kills++;
            expect(step).toBeLessThan(MOST_STEPS);
          }
        }
        await (await next).kill();
        await detachAll([reader, live]);
        expect(directory.entries()).toEqual([]);
      }
      console.log(`publishers killed in ${victim}: ${kills}`);
      expect(kills).toBeGreaterThan(8 * RUNTIMES.length);
    });

    for (const action of ["stop", "kill"] as const) {
      it(`others see changes when a reader in ${victim} gets a ${action} at any step`, { timeout: 300_000 }, async () => {
        const hits: Record<string, number> = {};
        using directory = testDirectory();
        const path = `${directory.path}/m-${KEY}`;
        await using reader = await start(rotated(i + 1), directory.path);
        await using live = await start(rotated(i + 2), directory.path);
        await act(reader, "watch");
        await using victims = new AsyncDisposableStack();
        let peer: Peer | undefined;
        for (const what of ["first wait", "later wait", "detach"]) {
          const part = what === "detach" ? "detach" : "beginWait";
          for (let step = 0, names: string[] = []; step <= names.length; step++) {
            expect(step).toBeLessThan(MOST_STEPS);
            if (peer === undefined) peer = victims.use(await start(victim, directory.path));
            else await act(peer, "attach", { key: KEY, held: true });
            if (what !== "first wait") {
              await act(peer, "beginWait", { step: 0, action: "count" });
              await publishAndSee(live, reader);
              await act(peer, "endWait");
            }
            // The zeroth time only counts.
            const done = act<string[]>(peer, part, { step, action: step === 0 ? "count" : action });
            const died = done.then(() => false, () => true);
            await (action === "stop" && step > 0 ? Promise.race([stopped(peer.pid), done]) : died);
            await publishAndSee(live, reader);
            await armed(path, 1); // asleep again
            await publishAndSee(live, reader);
            peer.signal("SIGCONT");
            if (!await died) {
              const passed = await done;
              if (step === 0) names = passed;
              if (part === "beginWait") await act(peer, "endWait");
              await peer.run((_api, { memory }) => void memory.detach());
            } else {
              await peer.kill();
              peer = undefined;
              // Whoever was armed and is dead has no entry any more.
              expect(bellEntries(path).filter(({ isArmed }) => isArmed).length).toBeLessThanOrEqual(1);
            }
            if (step > 0) hits[names[step - 1]!] = (hits[names[step - 1]!] ?? 0) + 1;
          }
        }
        await act(reader, "stopWatching");
        await detachAll([reader, live]);
        expect(directory.entries()).toEqual([]);
        console.log(`${action} of readers in ${victim}: ${JSON.stringify(hits)}`);
        expect(Object.keys(hits)).toEqual(expect.arrayContaining(
          ["bell claimed", "bell named", "make bell", "bell made", "bell armed", "waiting announced", "bell disarmed", "bell removed"],
        ));
      });
    }

    it(`a change is seen when a system call fails in ${victim}, on either side`, { timeout: 300_000 }, async () => {
      const hits: Record<string, number> = {};
      for (const side of ["reader", "publisher"] as const) {
        using directory = testDirectory();
        await using reader = await start(side === "reader" ? victim : rotated(i + 1), directory.path, false);
        await using live = await start(side === "publisher" ? victim : rotated(i + 1), directory.path, false);
        for (let step = 1, most = MOST_STEPS; step <= most; step++) {
          const fault: Fault = { step, action: "fail" };
          const none: Fault = { step: 0, action: "count" };
          const waited = await act<string[]>(reader, "beginWait", side === "reader" ? fault : none);
          const published = await act<string[]>(live, "publish", side === "publisher" ? fault : none);
          await act(reader, "endWait");
          await attachAnew(side === "reader" ? reader : live, false);
          const hit = (side === "reader" ? waited : published)[step - 1];
          if (hit === undefined) most = step;
          else hits[hit] = (hits[hit] ?? 0) + 1;
        }
        await detachAll([reader, live]);
        expect(directory.entries()).toEqual([]);
      }
      console.log(`failed in ${victim}: ${JSON.stringify(hits)}`);
      expect(Object.keys(hits)).toEqual(expect.arrayContaining(["make bell", "reach bell", "ring", "fcntl query"]));
    });
  }
});
