/**
 * Containers: processes in different namespaces that share the directory exclude each other, wake each other and see each
 * other's death; those that do not share it do not meet. Each kind of namespace alone, and all of them together.
 */

import { chmodSync, chownSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { afterAll, describe, expect, it } from "vitest";
import { testDirectory } from "../support/directory.ts";
import { acquireIn, excludesUntilDeath, openIn, wakes } from "../support/meeting.ts";
import { Peer } from "../support/peer.ts";
import { type RuntimeName, RUNTIMES } from "../support/runtimes.ts";
import { because, SKIPS } from "../support/skips.ts";

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

/** The commands that give a process a `/dev/shm` and pids of its own, as a container has them by default. */
const APART = [
  ...["unshare", ...PIDS, "--mount", "sh", "-c"],
  'mount -t tmpfs -o mode=1777,size=64m shm /dev/shm && exec "$@"',
  "sh",
];

describe("containers with a /dev/shm of their own", () => {
  const startApart = (runtime: RuntimeName, directory = ""): Promise<Peer> => Peer.start(runtime, { directory, within: APART });
  const attach = (peer: Peer): Promise<string> =>
    peer.run(({ SharedMemory }) => {
      try {
        return `attached ${SharedMemory.attach("memory").detach()}`;
      } catch (error) {
        return (error as Error).name;
      }
    });

  for (const [i, runtime] of RUNTIMES.entries()) {
    const [next, third] = [rotated(i + 1), rotated(i + 2)];

    it.skipIf(SKIPS.root)(because(`do not meet: ${runtime} and ${next}`, SKIPS.root), async () => {
      await using one = await startApart(runtime);
      await using two = await startApart(next);
      await openIn(one);
      for (const peer of [one, two]) expect(await acquireIn(peer)).toEqual({ outcome: "holds", recovered: false });
      expect(await attach(two)).toBe("NotFoundError");
      // One that shares the /dev/shm of the first, as --ipc=container:NAME does, meets that one.
      const namespaces = `/proc/${pidHere(one)}/ns`;
      const within = ["nsenter", `--mount=${namespaces}/mnt`, `--pid=${namespaces}/pid`];
      await using joined = await Peer.start(third, { directory: "", within });
      expect(await acquireIn(joined)).toMatchObject({ outcome: "AlreadyRunningError" });
      expect(await attach(joined)).toBe("attached true");
    });

    it.skipIf(SKIPS.root)(because(`meet in a volume that QSHM_DIRECTORY names: ${runtime} and ${next}`, SKIPS.root), async () => {
      const volume = mkdtempSync(`${tmpdir()}/qshm-volume-`);
      try {
        await using one = await startApart(runtime, volume);
        await using two = await startApart(next, volume);
        for (const peer of [one, two]) await openIn(peer);
        await wakes(one, two);
        await wakes(two, one);
        await excludesUntilDeath(one, two, { guard: null, lock: null });
        expect(readdirSync(volume)).toEqual([]);
      } finally {
        rmSync(volume, { recursive: true });
      }
    });

    it.skipIf(SKIPS.root)(because(`have 64 MiB: what ${runtime} makes beyond that is refused, and nothing is left`, SKIPS.root), async () => {
      await using peer = await startApart(runtime);
      const seen = await peer.run(async ({ SharedMemory }) => {
        const { readdirSync, statfsSync } = await import("node:fs");
        const entries = (): string[] => readdirSync("/dev/shm/qshm-0");
        const free = (): number => statfsSync("/dev/shm").bfree;
        const create = (key: string, size: number) => {
          try {
            return SharedMemory.create(key, size);
          } catch (error) {
            return (error as Error).name;
          }
        };
        const small = create("small", 1);
        const before = free();
        const tooLarge = [create("whole", 64 << 20), entries(), free() === before];
        const most = create("most", 60 << 20) as InstanceType<typeof SharedMemory>;
        most.data.fill(1); // reserved at once: no bus error
        const full = [create("rest", 8 << 20), entries().toSorted(), typeof create("fits", 1 << 20)];
        most.detach();
        const again = create("again", 60 << 20);
        return { small: typeof small, tooLarge, full, again: typeof again };
      });
      expect(seen).toEqual({
        small: "object",
        tooLarge: ["OutOfResourcesError", ["m-small"], true],
        full: ["OutOfResourcesError", ["m-most", "m-small"], "object"],
        again: "object",
      });
    });
  }
});

describe("user namespaces", () => {
  const asRoot = ["unshare", ...ROOT_THERE];
  const asNobody = ["unshare", "--user"]; // without a number there

  /** A directory of this user. */
  function directoryOf(user: number, mode: number): Disposable & { path: string } {
    const place = testDirectory();
    chownSync(place.path, user, user);
    chmodSync(place.path, mode);
    return place;
  }

  const attempt = (peer: Peer): Promise<string[]> =>
    peer.run(({ SharedMemory, SingleInstance }) =>
      [
        () => SharedMemory.attach("memory", { readOnly: true }).detach(),
        () => SharedMemory.open("other", 64).detach(),
        () => SingleInstance.tryAcquire("guard")!.release(),
      ].map((call) => {
        try {
          return `did it ${call() ?? ""}`;
        } catch (error) {
          return String(error);
        }
      })
    );

  for (const [i, runtime] of RUNTIMES.entries()) {
    const next = rotated(i + 1);
    for (const [what, within] of [["root", asRoot], ["nobody", asNobody]] as const) {
      it.skipIf(SKIPS.root)(
        because(`a user of ${next} and the same one as ${what} of its own namespace in ${runtime} meet`, SKIPS.root),
        async () => {
          using directory = directoryOf(USER, 0o700);
          const options = { ...as(USER), directory: directory.path };
          await using inside = await Peer.start(runtime, { ...options, within });
          await using outside = await Peer.start(next, options);
          for (const peer of [inside, outside]) await openIn(peer);
          await wakes(inside, outside);
          await wakes(outside, inside);
          await excludesUntilDeath(outside, inside, { guard: null, lock: null });
        },
      );

      it.skipIf(SKIPS.root)(
        because(`${runtime} as ${what} of its own namespace does not take another user's directory or file for its own`, SKIPS.root),
        async () => {
          using directory = directoryOf(OTHER_USER, 0o755);
          await using other = await Peer.start(next, { ...as(OTHER_USER), directory: directory.path });
          await other.run(({ SharedMemory }, state) => void (state.memory = SharedMemory.create("memory", 64)));
          chmodSync(`${directory.path}/m-memory`, 0o644); // the library itself opens nothing to others
          await using inside = await Peer.start(runtime, { ...as(USER), directory: directory.path, within });
          for (const result of await attempt(inside)) {
            expect(result).toMatch(/^PermissionDeniedError: .*its directory belongs to (user 65534|a user without a number here)/);
          }
          // Nor a file of theirs in its own directory.
          chownSync(directory.path, USER, USER);
          const [attached] = await attempt(inside);
          expect(attached).toMatch(/^PermissionDeniedError: .*the file at its name belongs to (user 65534|a user without a number here)/);
        },
      );
    }
  }
});
