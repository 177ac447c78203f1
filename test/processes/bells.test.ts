/**
 * Bells that somebody attacks: whatever stands at a bell's path or in its entry, nobody crashes or hangs, and whoever
 * waits sees the newest change, if not by the bell then by looking.
 */

import { execFileSync } from "node:child_process";
import { chownSync, closeSync, constants, mkdirSync, openSync, readdirSync, rmSync, symlinkSync, writeFileSync, writeSync } from "node:fs";
import { createServer } from "node:net";
import { describe, expect, it } from "vitest";
import { testDirectory } from "../support/directory.ts";
import { armed, bellEntries, BELLS, footprint, poke } from "../support/kernel.ts";
import { nativePeer } from "../support/native_peer.ts";
import { Peer } from "../support/peer.ts";
import { printedRandom } from "../support/random.ts";
import { type RuntimeName, RUNTIMES } from "../support/runtimes.ts";
import { because, SKIPS } from "../support/skips.ts";

const PARTS = new URL("./changes/parts.ts", import.meta.url).href;
const CROWD = new URL("./changes/crowd.ts", import.meta.url).href;
const KEY = "attacked";
const rotated = (i: number): RuntimeName => RUNTIMES[i % RUNTIMES.length]!;

/** A bell's file, and whether it is a socket. */
interface Target {
  readonly path: string;
  readonly isSocket: boolean;
}

interface Attack {
  readonly skip?: string | undefined;
  /** Puts something else at the path, or hurts what is there; gives what undoes it where it would be left over. */
  attack(target: Target): void | (() => void) | Promise<void | (() => void)>;
}

function datagrams(path: string, size: number, count: number): void {
  execFileSync(nativePeer()!, ["datagrams", path, String(size), String(count)]);
}

/** Fills it to the brim. */
function fill({ path, isSocket }: Target): void {
  if (isSocket) return datagrams(path, 1, 100_000);
  const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  try {
    for (;;) writeSync(fd, new Uint8Array(4096));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
  } finally {
    closeSync(fd);
  }
}

function replace(path: string, by: () => void): () => void {
  rmSync(path);
  by();
  return () => rmSync(path, { recursive: true, force: true });
}

const ATTACKS: Readonly<Record<string, Attack>> = {
  "was removed": { attack: ({ path }) => rmSync(path) },
  "is a regular file": { attack: ({ path }) => replace(path, () => writeFileSync(path, "no bell")) },
  "is a directory": { attack: ({ path }) => replace(path, () => mkdirSync(path)) },
  "is a link to a device": { attack: ({ path }) => replace(path, () => symlinkSync("/dev/zero", path)) },
  "is a link to nothing": { attack: ({ path }) => replace(path, () => symlinkSync("nowhere", path)) },
  "is a FIFO that nobody reads": { attack: ({ path }) => replace(path, () => execFileSync("mkfifo", [path])) },
  "is a stream socket": {
    async attack({ path }) {
      rmSync(path);
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(path, resolve));
      return () => {
        server.close();
        rmSync(path, { force: true });
      };
    },
  },
  "has another owner": { skip: SKIPS.root, attack: ({ path }) => chownSync(path, 12345, 12345) },
  "is full": { skip: SKIPS.cc, attack: fill },
  "gets more than anybody sends": {
    skip: SKIPS.cc,
    attack({ path, isSocket }) {
      if (isSocket) return datagrams(path, 4096, 5);
      writeFileSync(path, new Uint8Array(16384));
    },
  },
  "gets an empty datagram": {
    skip: SKIPS.cc,
    attack({ path, isSocket }) {
      if (isSocket) datagrams(path, 0, 1);
    },
  },
};

async function start(runtime: RuntimeName, directory: string): Promise<Peer> {
  const peer = await Peer.start(runtime, { directory });
  await peer.call(PARTS, "attach", { key: KEY, held: false });
  return peer;
}

async function publishAndSee(publisher: Peer, reader: Peer): Promise<void> {
  await publisher.run((_api, { memory }) => memory.notify());
  await reader.call(PARTS, "seesNewest");
}

async function detachAll(peers: readonly Peer[]): Promise<void> {
  for (const peer of peers) await peer.run((_api, { memory }) => void memory.detach());
}

describe.concurrent("bells under attack", () => {
  for (const [i, reader] of RUNTIMES.entries()) {
    for (const [name, { skip, attack }] of Object.entries(ATTACKS)) {
      it.skipIf(skip !== undefined)(because(`a bell of ${reader} that ${name} costs a delay, no more`, skip), async () => {
        for (const when of ["before it is rung", "after it was rung"] as const) {
          using directory = testDirectory();
          const path = `${directory.path}/m-${KEY}`;
          await using stack = new AsyncDisposableStack();
          const waiting = stack.use(await start(reader, directory.path));
          const publisher = stack.use(await start(rotated(i + 1), directory.path));
          const second = stack.use(await start(rotated(i + 2), directory.path));
          await waiting.call(PARTS, "watch");
          await armed(path, 1);
          if (when === "after it was rung") {
            for (const peer of [publisher, second]) await publishAndSee(peer, waiting);
            await armed(path, 1);
          }
          const target = { path: `${directory.path}/${bellEntries(path)[0]!.name}`, isSocket: reader === "bun" };
          const undo = await attack(target);
          for (let turn = 0; turn < 3; turn++) {
            for (const peer of [publisher, second]) await publishAndSee(peer, waiting);
          }
          await waiting.call(PARTS, "stopWatching");
          // Waiting anew works as well.
          await waiting.call(PARTS, "watch");
          await publishAndSee(publisher, waiting);
          await waiting.call(PARTS, "stopWatching");
          await detachAll([waiting, publisher, second]);
          undo?.();
          expect(directory.entries(), when).toEqual([]);
          for (const peer of [waiting, publisher, second]) {
            expect(footprint(peer.pid, directory.path).descriptors, `${when}: ${peer.runtime}`).toEqual([]);
          }
        }
      });
    }

    it(`a table of bells in which anything stands harms neither ${reader} nor those who ring`, async () => {
      using directory = testDirectory();
      const random = printedRandom(`table of bells, ${reader}`);
      const path = `${directory.path}/m-${KEY}`;
      await using stack = new AsyncDisposableStack();
      const waiting = stack.use(await start(reader, directory.path));
      const publisher = stack.use(await start(rotated(i + 1), directory.path));
      await waiting.call(PARTS, "watch");
      for (let turn = 0; turn < 40; turn++) {
        const entry = random.of([0, 0, 1, random.below(BELLS.count)]);
        const size = random.of([4, 8, BELLS.size]);
        const at = random.below(BELLS.size / size) * size;
        poke(path, BELLS.offset + entry * BELLS.size + at, Uint8Array.from({ length: size }, () => random.below(256)));
        await publishAndSee(publisher, waiting);
      }
      await waiting.call(PARTS, "stopWatching");
      await detachAll([waiting, publisher]);
      // The name that the entry had is gone with it: what is left is a file that nobody listens to.
      await publisher.run(({ SharedMemory }) => void SharedMemory.create("sweeps", 64).detach());
      expect(directory.entries().filter((name) => !name.startsWith("b."))).toEqual([]);
      expect(readdirSync(directory.path).length).toBeLessThan(3);
    });

    it(`130 waiting attachments, more than there are bells, all see each change of ${reader}`, async () => {
      using directory = testDirectory();
      await using stack = new AsyncDisposableStack();
      const publisher = stack.use(await start(reader, directory.path));
      const peers = await Promise.all(
        Array.from({ length: 5 }, async (_, j) => stack.use(await Peer.start(rotated(i + j), { directory: directory.path }))),
      );
      for (const peer of peers) await peer.call(CROWD, "join", { key: KEY, count: 26, held: false });
      await armed(`${directory.path}/m-${KEY}`, BELLS.count);
      for (let turn = 0; turn < 10; turn++) {
        const newest = await publisher.run((_api, { memory }) => {
          memory.notify();
          return memory.revision as number;
        });
        await Promise.all(peers.map((peer) => peer.call(CROWD, "allSee", newest)));
      }
      for (const peer of peers) await peer.call(CROWD, "leave");
      await detachAll([publisher]);
      expect(directory.entries()).toEqual([]);
    });
  }
});
