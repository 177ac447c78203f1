/**
 * The kernel's limits, each in an IPC namespace of its own where it is low: OutOfResources, as in Qt, or InvalidSize where it
 * is the size; and nothing is left over of what could not be made.
 */

import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { because, SKIPS } from "../support/skips.ts";
import { CREATE, MEMORY, OPEN, SEMAPHORE } from "./errors.ts";
import { ALL, OURS, type PeerName, type QtPeer, skipOf } from "./peer.ts";
import { testPlace } from "./place.ts";

const place = testPlace();

/** A peer in a namespace of its own, with these settings of the kernel's in it. */
function limited(name: PeerName, ...settings: readonly `${string}=${string}`[]): Promise<QtPeer> {
  const script = settings.map((setting) => setting.replace(/(.*)=(.*)/, `echo $2 > /proc/sys/kernel/$1`)).join("; ");
  return place.another(name, ["unshare", "--ipc", "sh", "-ec", `${script.replaceAll(/echo (.*?) >/g, `echo "$1" >`)}; exec "$0" "$@"`]);
}

/** How many segments and sets of semaphores there are, in its namespace. */
function counts(peer: QtPeer): { segments: number; semaphores: number } {
  const lines = (file: string): number =>
    execFileSync("nsenter", ["-t", String(peer.pid), "--ipc", "cat", `/proc/sysvipc/${file}`], { encoding: "utf8" }).trim().split("\n").length - 1;
  return { segments: lines("shm"), semaphores: lines("sem") };
}

const NONE = { segments: 0, semaphores: 0 };

describe.each(ALL)("%s", (name) => {
  const skip = skipOf(name) ?? SKIPS.root;
  const isOurs = (OURS as readonly PeerName[]).includes(name);
  const test = (what: string, f: () => Promise<void>): void => it.skipIf(skip)(because(what, skip), f);

  test("no segment is free: OutOfResources; once one is, it works", async () => {
    const peer = await limited(name, "shmmni=2");
    const [one, two, three] = await Promise.all([peer.memory("one"), peer.memory("two"), peer.memory("three")]);
    expect([await one.create(1), await two.create(1), await three.create(1)]).toEqual([true, true, false]);
    expect(await three.error()).toBe(MEMORY.OutOfResources);
    expect([await three.isAttached(), await three.size(), await three.hasData()]).toEqual([false, 0, false]);
    // Of Qt's failed create() the lock stays until the object goes.
    expect(counts(peer)).toEqual({ segments: 2, semaphores: isOurs ? 2 : 3 });
    expect(place.traces().files.filter((file) => file.includes("_three"))).toHaveLength(isOurs ? 0 : 1);
    expect(await two.detach()).toBe(true);
    expect([await three.create(1), await three.error()]).toEqual([true, MEMORY.NoError]);
    for (const memory of [one, two, three]) await memory.delete();
    expect(counts(peer)).toEqual(NONE);
  });

  test("no pages are left: OutOfResources", async () => {
    const peer = await limited(name, "shmall=4");
    const [one, two] = await Promise.all([peer.memory("one"), peer.memory("two")]);
    expect([await one.create(3 * 4096), await two.create(2 * 4096)]).toEqual([true, false]);
    expect(await two.error()).toBe(MEMORY.OutOfResources);
    expect(place.traces().files.filter((file) => file.startsWith("qipc_sharedmemory"))).toHaveLength(1);
    expect(await two.create(4096)).toBe(true);
    await one.delete();
    await two.delete();
    expect(counts(peer)).toEqual(NONE);
  });

  test("more than a segment may have: InvalidSize", async () => {
    const peer = await limited(name, "shmmax=8192");
    const memory = await peer.memory("one");
    expect([await memory.create(8193), await memory.error()]).toEqual([false, MEMORY.InvalidSize]);
    if (isOurs) expect([counts(peer), place.traces().files]).toEqual([NONE, []]);
    expect([await memory.create(8192), await memory.error()]).toEqual([true, MEMORY.NoError]);
    await memory.delete();
    expect(counts(peer)).toEqual(NONE);
  });

  test("no set of semaphores is free: neither segment nor semaphore can be made", async () => {
    const peer = await limited(name, "sem=250 32000 32 1");
    const [one, two] = await Promise.all([peer.memory("one"), peer.memory("two")]);
    expect([await one.create(1), await two.create(1)]).toEqual([true, false]);
    expect(await two.error()).toBe(MEMORY.OutOfResources);
    const [three, four] = [await peer.semaphore("three", 1, OPEN), await peer.semaphore("three", 1, CREATE)];
    for (const semaphore of [three, four]) {
      expect([await semaphore.acquire(), await semaphore.error()])
        .toEqual([false, isOurs ? SEMAPHORE.KeyError : SEMAPHORE.OutOfResources]);
    }
    expect(counts(peer)).toEqual({ segments: 1, semaphores: 1 });
    for (const object of [four, three, two]) await object.delete();
    expect(place.traces().files, "those of the first").toHaveLength(2);
    await one.delete();
    expect(counts(peer)).toEqual(NONE);
  });

  test("a value beyond the largest: OutOfResources, and it stays as it was", async () => {
    const peer = await place.peer(name);
    const semaphore = await peer.semaphore("most", 32766, CREATE);
    expect([await semaphore.release(), await semaphore.error()]).toEqual([true, SEMAPHORE.NoError]);
    expect([await semaphore.release(), await semaphore.error()]).toEqual([false, SEMAPHORE.OutOfResources]);
    expect(await semaphore.acquire()).toBe(true);
    await semaphore.delete();
  });
});
