/**
 * From SIGKILL of a lock's owner until a waiter in another process has told that it holds the lock: the way of that
 * line through a pipe, some tenths of a millisecond, is counted in. Owner and waiter are of one runtime.
 *
 * The rival is not run: proper-lockfile takes a lock over when its mtime is `stale` old, 10 s by default.
 */

import { setTimeout } from "node:timers/promises";
import { SharedMemory } from "../../../mod.ts";
import { Host } from "../host.ts";
import type { CaseFactory, Group, Plan, Samples } from "../row.ts";

const STALE_NS = 10e9;
const RUNS = 25;

/** See {@linkcode CaseFactory}. They do their operation once. */
export const cases: Readonly<Record<string, CaseFactory>> = {
  hold: () => {
    const memory = SharedMemory.open("recovery", 64);
    return () => void memory.lockSync();
  },
  "js.lock": () => {
    const memory = SharedMemory.open("recovery", 64);
    return async () => (await memory.lock()).unlock();
  },
  "js.lockSync": () => {
    const memory = SharedMemory.open("recovery", 64);
    return () => memory.lockSync().unlock();
  },
};

async function recover(waiter: Host, subject: string, plan: Plan): Promise<number> {
  const owner = Host.inRuntime("recovery", plan);
  await owner.time("hold", 1);
  const waiting = waiter.time(subject, 1);
  await setTimeout(60 + Math.random() * 20); // the waiter is at its slowest pace, and at any point of it
  const start = performance.now();
  const killed = owner.kill();
  await waiting;
  const elapsed = performance.now() - start;
  await killed;
  return elapsed * 1e6;
}

async function measure(plan: Plan): Promise<Samples> {
  const samples = new Map(plan.subjects.map((name): [string, number[]] => [name, []]));
  const waiters = new Map(plan.subjects.map((name): [string, Host] => [name, Host.inRuntime("recovery", plan)]));
  for (const [name, waiter] of waiters) await waiter.time(name, 1); // loads everything
  for (let run = 0; run < RUNS; run++) {
    for (const [name, waiter] of waiters) samples.get(name)!.push(await recover(waiter, name, plan));
  }
  await Promise.all([...waiters.values()].map((waiter) => waiter.end()));
  return samples;
}

const names = { lock: "js.lock", lockSync: "js.lockSync" } as const;

/** See {@linkcode Group}. */
export const recoveryGroup: Group = {
  name: "owner killed, waiter has it",
  rows: Object.entries(names).flatMap(([name, ours]) => [
    { name, ours, target: { atMost: 10e6 } },
    { name: `${name} / proper-lockfile's stale of 10 s`, ours, rival: STALE_NS, target: { fasterBy: 1000 } },
  ]),
  measure,
};
