/** Many who wait, in one process; loaded by peers of any runtime. */

import { readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { holdTimers } from "../../support/held_timers.ts";
import type { Api, State } from "../../support/peer.ts";

const WATCHDOG = 60_000;

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

interface Member {
  readonly memory: InstanceType<Api["SharedMemory"]>;
  readonly stop: AbortController;
  seen: number;
}

/** Attaches so many times, and waits for change after change with each. `held`: woken by bells alone. */
export function join(
  { SharedMemory }: Api,
  state: State,
  { key, count, held }: { key: string; count: number; held: boolean },
): void {
  if (held) holdTimers();
  state.crowd = Array.from({ length: count }, () => {
    const memory = SharedMemory.attach(key);
    const member: Member = { memory, stop: new AbortController(), seen: memory.revision };
    (async () => {
      for (;;) member.seen = await memory.waitForChange(member.seen, { signal: member.stop.signal });
    })().catch((error) => member.stop.signal.aborted || (state.problem = error));
    return member;
  });
}

/** Comes back when all have seen this revision. */
export async function allSee(_api: Api, state: State, revision: number): Promise<void> {
  const crowd: Member[] = state.crowd;
  const deadline = performance.now() + WATCHDOG;
  for (;;) {
    const asleep = crowd.filter(({ seen }) => seen !== revision);
    if (asleep.length === 0) return;
    if (state.problem !== undefined) throw state.problem;
    if (performance.now() > deadline) throw new Error(`${asleep.length} of ${crowd.length} have not seen ${revision}`);
    await turn();
  }
}

/** They wait no more, but stay attached. */
export function stopAll(_api: Api, { crowd }: State): void {
  for (const { stop } of crowd as Member[]) stop.abort();
}

/** They leave. */
export function leave(_api: Api, { crowd }: State): void {
  for (const { memory } of crowd as Member[]) memory.detach();
}

const threads = (): number => readdirSync("/proc/self/task").length;
const descriptors = (): number => readdirSync("/proc/self/fd").length;

/** What 200 pending waits do to a process. */
export interface Pending {
  /** Threads and descriptors more than with one wait. */
  readonly threads: number;
  readonly descriptors: number;
  /** Waits that were still pending when a timer and a file had come back, and after the microtasks behind the abort. */
  readonly pendingBehindTimer: number;
  readonly pendingBehindAbort: number;
  /** Reasons that were not the signal's. */
  readonly otherReasons: number;
}

/** 200 waits beside a timer and a file, and then their end by one signal. */
export async function pend({ SharedMemory }: Api, _state: State, key: string): Promise<Pending> {
  using memory = SharedMemory.attach(key);
  const stop = new AbortController();
  let pending = 0;
  let otherReasons = 0;
  const wait = (): void => {
    pending++;
    memory.waitForChange(memory.revision, { signal: stop.signal }).catch((reason) => {
      pending--;
      if (reason !== stop.signal.reason) otherReasons++;
    });
  };
  wait();
  // Once, so that what the runtime starts for them is there.
  await readFile("/proc/self/stat");
  await new Promise((resolve) => setTimeout(resolve, 1));
  const before = { threads: threads(), descriptors: descriptors() };
  for (let i = 1; i < 200; i++) wait();
  await readFile("/proc/self/stat");
  await new Promise((resolve) => setTimeout(resolve, 1));
  const result = { threads: threads() - before.threads, descriptors: descriptors() - before.descriptors };
  const pendingBehindTimer = pending;
  stop.abort();
  for (let i = 0; i < 8; i++) await undefined; // microtasks of the same turn
  return { ...result, pendingBehindTimer, pendingBehindAbort: pending, otherReasons };
}
