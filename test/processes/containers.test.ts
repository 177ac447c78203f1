/**
 * Containers: processes in different namespaces that share the directory exclude each other, wake each other and see each
 * other's death; those that do not share it do not meet. Each kind of namespace alone, and all of them together.
 */

import { execFileSync } from "node:child_process";
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { afterAll, describe, expect, it } from "vitest";
import { testDirectory } from "../support/directory.ts";
import { Peer } from "../support/peer.ts";
import { type RuntimeName, RUNTIMES } from "../support/runtimes.ts";
import { because, SKIPS } from "../support/skips.ts";

const TIMERS = new URL("../support/held_timers.ts", import.meta.url).href;
const USER = 65533;
const OTHER_USER = 65532;
const rotated = (i: number): RuntimeName => RUNTIMES[i % RUNTIMES.length]!;

const homes: string[] = [];
afterAll(() => homes.forEach((home) => rmSync(home, { recursive: true, force: true })));

/** What an ordinary user's process needs; a home, for what a runtime caches. */
function as(user: number): { uid: number; gid: number; env: Record<string, string> } {
  const home = mkdtempSync(`${tmpdir()}/qshm-home-`);
  homes.push(home);
  chownSync(home, user, user);
  return { uid: user, gid: user, env: { HOME: home, DENO_DIR: home } };
}

interface Container {
  readonly what: string;
  /** Of `unshare`. */
  readonly flags: readonly string[];
  /** A process has another number there than outside. */
  readonly ownPids?: boolean;
  /** Those there cannot look into processes elsewhere: they have no numbers there, or the kernel does not permit it. */
  readonly isBlind?: boolean;
}

// --kill-child: whoever kills unshare kills what runs in it.
const PIDS = ["--pid", "--fork", "--kill-child", "--mount-proc"];
const ROOT_THERE = ["--user", "--map-root-user"];
const CONTAINERS: readonly Container[] = [
  { what: "PID", flags: PIDS, ownPids: true, isBlind: true },
  { what: "mount", flags: ["--mount"] },
  { what: "network", flags: ["--net"] },
  { what: "IPC", flags: ["--ipc"] },
  { what: "user", flags: ROOT_THERE, isBlind: true },
  {
    what: "PID, mount, network, IPC, UTS, cgroup and user",
    flags: [...ROOT_THERE, ...PIDS, "--mount", "--net", "--ipc", "--uts", "--cgroup"],
    ownPids: true,
    isBlind: true,
  },
];

function startIn({ flags }: Container, runtime: RuntimeName, directory: string): Promise<Peer> {
  return Peer.start(runtime, { directory, within: ["unshare", ...flags] });
}

/** The number by which a process is known here: `unshare` has it as a child, or has become it. */
function pidHere(peer: Peer): number {
  const child = readFileSync(`/proc/${peer.pid}/task/${peer.pid}/children`, "utf8").trim();
  return /^\d+$/.test(child) ? Number(child) : peer.pid;
}

/** Tries to hold the guard: how it ended, and whom it met. */
function acquireIn(peer: Peer): Promise<{ outcome: string; pid?: number | null; recovered?: boolean }> {
  return peer.run(async ({ SingleInstance }, state) => {
    try {
      state.guard = await SingleInstance.acquire("guard");
      return { outcome: "holds", recovered: state.guard.recovered as boolean };
    } catch (error) {
      const { name, pid } = error as Error & { pid?: number };
      return { outcome: name, pid: pid ?? null };
    }
  });
}

function openIn(peer: Peer): Promise<void> {
  return peer.run(({ SharedMemory }, state) => void (state.memory = SharedMemory.open("memory", 64)));
}

/** `holder` dies with the guard and the lock; `other` was kept out, sees the death, and goes on. */
async function excludesUntilDeath(holder: Peer, other: Peer, seen: { guard: number | null; lock: number | null }): Promise<void> {
  expect(await acquireIn(holder)).toEqual({ outcome: "holds", recovered: false });
  await holder.run((_api, state) => void (state.lock = state.memory.lockSync()));
  expect(await acquireIn(other)).toEqual({ outcome: "AlreadyRunningError", pid: seen.guard });
  const look = (): Promise<unknown> =>
    other.run(({ inspect }, { memory }) => ({
      isFree: memory.tryLock() !== undefined,
      owner: [memory.lockOwner?.alive, memory.lockOwner?.pid ?? null],
      others: inspect("memory", "memory")!.attached.filter(({ pid }) => pid !== process.pid).map(({ alive }) => alive),
    }));
  expect(await look()).toEqual({ isFree: false, owner: [true, seen.lock], others: [true] });
  const waiting = other.run(async (_api, { memory }) => (await memory.lock()).ownerDied as boolean);
  await holder.kill();
  expect(await waiting).toBe(true);
  const after = other.run(({ inspect }, { memory }) => ({
    attached: inspect("memory", "memory")!.attached.map(({ pid }) => pid === process.pid),
    detached: memory.detach() as boolean,
  }));
  expect(await after).toEqual({ attached: [true], detached: true });
  expect(await acquireIn(other)).toEqual({ outcome: "holds", recovered: true });
  await other.run((_api, { guard }) => guard.release());
}

/** What `writer` writes wakes `sleeper`, which does not look by itself: its timers are held. */
async function wakes(writer: Peer, sleeper: Peer): Promise<void> {
  await sleeper.call(TIMERS, "holdTimers");
  for (let round = 1; round <= 3; round++) {
    await sleeper.run((_api, state) => {
      state.before = state.memory.revision;
      state.woken = state.memory.waitForChange(state.before);
    });
    await writer.run((_api, { memory }, byte) => memory.write(Uint8Array.of(byte)), round);
    expect(await sleeper.run(async (_api, { memory, woken }) => (await woken, memory.read(0, 1)[0] as number))).toBe(round);
  }
  await sleeper.call(TIMERS, "letTimersGo");
}

describe.concurrent("containers that share the directory", () => {
  for (const [i, container] of CONTAINERS.entries()) {
    const { what, ownPids = false, isBlind = false } = container;
    const [one, two] = [rotated(i), rotated(i + 1)];
    const between = (
      name: string,
      start: (directory: string) => Promise<[dies: Peer, stays: Peer]>,
      sees: { guardHolder: boolean; lockOwner: boolean },
    ): void => {
      it.skipIf(SKIPS.root)(because(name, SKIPS.root), async () => {
        using directory = testDirectory();
        const [dies, stays] = await start(directory.path);
        await using _dies = dies;
        await using _stays = stays;
        for (const peer of [dies, stays]) await openIn(peer);
        await wakes(dies, stays);
        await wakes(stays, dies);
        const pid = pidHere(dies);
        await excludesUntilDeath(dies, stays, { guard: sees.guardHolder ? pid : null, lock: sees.lockOwner ? pid : null });
        expect(directory.entries()).toEqual([]);
      });
    };
    const start = (name: RuntimeName, directory: string): Promise<Peer> => Peer.start(name, { directory });
    const enter = (name: RuntimeName, directory: string): Promise<Peer> => startIn(container, name, directory);

    between(`${one} in a ${what} namespace, which dies, and ${two} outside it`, async (directory) => {
      return [await enter(one, directory), await start(two, directory)];
    }, { guardHolder: true, lockOwner: !ownPids }); // a lock's owner tells its own number of itself
    between(`${one}, which dies, and ${two} in a ${what} namespace`, async (directory) => {
      return [await start(one, directory), await enter(two, directory)];
    }, { guardHolder: !isBlind, lockOwner: !isBlind });
    between(`${two}, which dies, and ${one}, each in a ${what} namespace of its own`, async (directory) => {
      return [await enter(two, directory), await enter(one, directory)];
    }, { guardHolder: !isBlind, lockOwner: !isBlind });
  }

  it.skipIf(SKIPS.root)(
    because("replace refuses where the pid would be somebody else's, and asks all the same", SKIPS.root),
    async () => {
      using directory = testDirectory();
      await using inside = await startIn(CONTAINERS.at(-1)!, rotated(0), directory.path);
      await using outside = await Peer.start(rotated(1), { directory: directory.path });
      await acquireIn(inside);
      const replace = (kill: boolean): Promise<string> =>
        outside.run(({ SingleInstance }, _state, kill) =>
          SingleInstance.acquire("guard", { replace: { grace: 20, kill } }).then(() => "holds", (error) => String(error)), kill);
      expect(await replace(false)).toMatch(/^AlreadyRunningError: /);
      expect(await replace(true)).toMatch(/^PermissionDeniedError: .*another PID namespace/);
      const asked = (_api: unknown, { guard }: { guard?: { replaced: AbortSignal } }): boolean => guard!.replaced.aborted;
      while (!await inside.run(asked)); // it lives, and learns of it
      await inside.run((_api, { guard }) => guard.release());
    },
  );
});
