/**
 * Where peers meet in a test file: a temporary directory of their own, for the key files of all. System V objects belong to
 * the machine; those of a place are told from others by the process that made or last changed them, so that test files can
 * run side by side. After each test everything has to be gone.
 */

import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { setImmediate } from "node:timers/promises";
import { afterAll, afterEach, beforeEach, expect } from "vitest";
import { testDirectory } from "../support/directory.ts";
import { ftok, removeObject, type Segment, segments, semaphore, semaphores } from "../support/qt_system_v.ts";
import { type Memory, type PeerName, QtPeer, type Remote } from "./peer.ts";

/** What stands in the directory and in the kernel. */
export interface Traces {
  readonly files: readonly string[];
  readonly segments: readonly number[];
  readonly semaphores: readonly number[];
}

const NOTHING: Traces = { files: [], segments: [], semaphores: [] };

export class Place {
  /** TMPDIR of the peers. */
  readonly path: string;
  readonly #companions = testDirectory();
  readonly #peers = new Map<PeerName, QtPeer>();
  readonly #others = new Set<QtPeer>();
  readonly #pids = new Set<number>();
  #before = { segments: new Set<number>(), semaphores: new Set<number>() };
  #keys = 0;

  constructor(parent: string = tmpdir()) {
    this.path = mkdtempSync(`${parent}/qshm-interop-`);
  }

  /** A key that no other test of this place uses. */
  freshKey(hint = "key"): string {
    return `${hint} ${++this.#keys}`;
  }

  /** The peer of this name; it stays for the tests that follow. */
  async peer(name: PeerName): Promise<QtPeer> {
    const known = this.#peers.get(name);
    if (known !== undefined && !known.hasEnded) return known;
    const peer = await this.#start(name);
    this.#peers.set(name, peer);
    return peer;
  }

  /** Two peers, which are two processes also if they are of one name. */
  async pair(a: PeerName, b: PeerName): Promise<readonly [QtPeer, QtPeer]> {
    return await Promise.all([this.peer(a), a === b ? this.another(b) : this.peer(b)]);
  }

  /** A peer of its own, for a test that kills it or needs several. It is killed after the test. */
  async another(name: PeerName, prefix: readonly string[] = []): Promise<QtPeer> {
    const peer = await this.#start(name, prefix);
    this.#others.add(peer);
    return peer;
  }

  async #start(name: PeerName, prefix: readonly string[] = []): Promise<QtPeer> {
    const peer = await QtPeer.start(name, { TMPDIR: this.path, QSHM_DIRECTORY: this.#companions.path }, prefix);
    this.watch(peer.pid);
    return peer;
  }

  /** The segment behind a native key. */
  segment(nativeKey: string, project?: number): Segment | undefined {
    const key = ftok(statSync(nativeKey), project);
    return segments().find((segment) => segment.key === key);
  }

  /** The id of the set of semaphores behind a file; `undefined` without one. */
  semaphoreId(file: string, project?: number): number | undefined {
    const key = ftok(statSync(file), project);
    return semaphores().find((set) => set.key === key)?.id;
  }

  /** The id of the lock of a segment, by its file. */
  async lockOf(memory: Remote<Memory>): Promise<number> {
    return this.semaphoreId((await memory.nativeKey()).replace("sharedmemory", "systemsem"))!;
  }

  /** What this process leaves is this place's affair, too. */
  watch(pid: number): void {
    this.#pids.add(pid);
  }

  /** Resolves once so many processes wait in the kernel for this semaphore. */
  async waiting(id: number, count = 1): Promise<void> {
    while ((semaphore(id)?.waiters ?? 0) < count) await setImmediate();
  }

  /** What stands here that did not before the test. */
  traces(): Traces {
    return {
      files: [...readdirSync(this.path), ...this.#companions.entries()].sort(),
      segments: segments().filter(({ id, creator }) => !this.#before.segments.has(id) && this.#pids.has(creator)).map(({ id }) => id),
      semaphores: semaphores().map(({ id }) => id)
        .filter((id) => !this.#before.semaphores.has(id) && this.#pids.has(semaphore(id)?.changer ?? -1)),
    };
  }

  /** Remembers what there is; every test begins so. */
  begin(): void {
    this.#before = {
      segments: new Set(segments().map(({ id }) => id)),
      semaphores: new Set(semaphores().map(({ id }) => id)),
    };
  }

  /** Ends the peers of one test; everybody, and whatever they left, if it went wrong. */
  async finish(failed: boolean): Promise<Traces> {
    await this.#end(this.#others);
    const traces = this.traces();
    if (failed || traces.files.length + traces.segments.length + traces.semaphores.length > 0) await this.#clear();
    return traces;
  }

  async close(): Promise<void> {
    await this.#clear();
    rmSync(this.path, { recursive: true, force: true });
    this.#companions[Symbol.dispose]();
  }

  async #clear(): Promise<void> {
    await this.#end(this.#peers);
    const { segments, semaphores } = this.traces();
    for (const id of segments) removeObject("shm", id);
    for (const id of semaphores) removeObject("sem", id);
    for (const directory of [this.path, this.#companions.path]) {
      for (const name of readdirSync(directory)) rmSync(`${directory}/${name}`, { recursive: true, force: true });
    }
  }

  async #end(peers: Set<QtPeer> | Map<PeerName, QtPeer>): Promise<void> {
    await Promise.all([...peers.values()].map((peer) => peer[Symbol.asyncDispose]()));
    peers.clear();
  }
}

/** A place for the tests of a file. Each of them has to leave it empty. */
export function testPlace(parent?: string): Place {
  const place = new Place(parent);
  beforeEach(() => place.begin());
  afterEach(async ({ task }) => {
    const failed = task.result?.state === "fail";
    const traces = await place.finish(failed);
    if (!failed) expect(traces, "what is left behind").toEqual(NOTHING);
  });
  afterAll(() => place.close());
  return place;
}
