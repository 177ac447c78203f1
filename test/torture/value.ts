/**
 * Value torture: three writers set values of 1 B to 1 MiB as fast as they can, and are killed with SIGKILL one after the
 * other, wherever they are; readers of all runtimes, one of them slow, find whole values only, and never an older one.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout } from "node:timers/promises";
import { nativePeer } from "../support/native_peer.ts";
import { Peer } from "../support/peer.ts";
import type { Random } from "../support/random.ts";
import { type RuntimeName, RUNTIMES } from "../support/runtimes.ts";

const WORKER = new URL("./value_worker.ts", import.meta.url).href;
const KEY = "torture";
const WRITERS = 3;
/** Counters of a writer that takes a dead one's slot begin so much higher. */
const GENERATION = 1 << 17;
/** Kills of the program without a runtime, which starts in a moment, for one of a runtime. */
const NATIVE_SHARE = 16;

export interface ValueTortureOptions {
  readonly directory: string;
  readonly kills: number;
  readonly random: Random;
  readonly progress?: (kills: number) => void;
}

export interface ValueTortureResult {
  readonly violations: readonly string[];
  readonly killed: Readonly<Record<string, number>>;
  /** How many values each reader has seen. */
  readonly gets: Readonly<Record<string, number>>;
  /** How many were set. */
  readonly sets: number;
}

interface Writer {
  readonly name: RuntimeName | "c";
  kill(): Promise<void>;
}

async function startNative(directory: string, slot: number, base: number, seed: number): Promise<Writer> {
  const child: ChildProcess = spawn(nativePeer()!, ["value", KEY, String(slot), String(base), String(seed)], {
    env: { ...process.env, QSHM_DIRECTORY: directory },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  await once(child.stdout!, "data");
  return {
    name: "c",
    kill: async () => {
      child.kill("SIGKILL");
      const [code] = await exited;
      if (code !== null) throw new Error(`The native writer ended with ${code}`);
    },
  };
}

async function startPeer(peer: Peer, slot: number, base: number, seed: number): Promise<Writer> {
  await peer.call(WORKER, "open", KEY);
  await peer.call(WORKER, "write", { slot, base, seed });
  return {
    name: peer.runtime,
    kill: async () => {
      const problem = await peer.run((_api, state): string | null => state.problem?.message ?? null);
      await peer.kill();
      if (problem !== null) throw new Error(problem);
    },
  };
}

/** Runs it. */
export async function valueTorture({ directory, kills, random, progress }: ValueTortureOptions): Promise<ValueTortureResult> {
  const violations: string[] = [];
  const killed: Record<string, number> = {};
  const start = (runtime: RuntimeName): Promise<Peer> => Peer.start(runtime, { directory });
  const readers = await Promise.all([...RUNTIMES, random.of(RUNTIMES)].map(start));
  await using stack = new AsyncDisposableStack();
  for (const reader of readers) stack.use(reader);
  for (const reader of readers) await reader.call(WORKER, "open", KEY);
  await readers[0]!.run((_api, { value }) => value.set(new Uint8Array([37])));
  for (const [i, reader] of readers.entries()) await reader.call(WORKER, "read", { slow: i === readers.length - 1, base: 0 });

  let generation = 0;
  let spare = start(random.of(RUNTIMES));
  async function startWriter(slot: number, isNative: boolean): Promise<Writer> {
    const base = ++generation * GENERATION;
    const seed = random.below(0x7fffffff);
    if (isNative && nativePeer() !== undefined) return await startNative(directory, slot, base, seed);
    const peer = await spare;
    spare = start(random.of(RUNTIMES));
    return await startPeer(peer, slot, base, seed);
  }

  const writers: Writer[] = [];
  for (let slot = 0; slot < WRITERS; slot++) writers.push(await startWriter(slot, false));
  for (let i = 0; i < kills && violations.length === 0; i++) {
    const slot = random.below(WRITERS);
    await setTimeout(random.below(5));
    const { name } = writers[slot]!;
    try {
      await writers[slot]!.kill();
      killed[name] = (killed[name] ?? 0) + 1;
      writers[slot] = await startWriter(slot, i % NATIVE_SHARE !== 0);
      if (i % 50 === 0) for (const reader of readers) await reader.call(WORKER, "gets");
    } catch (error) {
      violations.push(`kill ${i} of ${name}: ${(error as Error).message}`);
    }
    if ((i + 1) % 100 === 0) progress?.(i + 1);
  }
  for (const writer of writers) await writer.kill();
  await (await spare).kill();

  const gets: Record<string, number> = {};
  let sets = 0;
  for (const [i, reader] of readers.entries()) {
    try {
      gets[i === readers.length - 1 ? `${reader.runtime}, slow` : reader.runtime] = await reader.call<number>(WORKER, "gets");
      await reader.call(WORKER, "end");
      sets = await reader.run((_api, { value }) => value.revision);
    } catch (error) {
      violations.push(`${reader.runtime}: ${(error as Error).message}`);
    }
  }
  // All writers are dead, and what they had claimed can be had.
  await readers[0]!.run((_api, { value }) => {
    for (let i = 0; i < 8; i++) value.set(new Uint8Array([37]));
  });
  for (const reader of readers) await reader.run((_api, { value }) => void value.close());
  return { violations, killed, gets, sets };
}
