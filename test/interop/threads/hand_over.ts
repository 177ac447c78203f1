/**
 * Threads of one process that hand numbers over through a segment, as Qt's own test of QSharedMemory has it: a producer offers
 * each of five under the lock, and one of the consumers takes it. Each thread has an object of its own.
 */

import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { QSharedMemory } from "../../../src/qt/mod.ts";

const HAND_OVERS = 5;
const EMPTY = 0, OFFERED = 1, END = 255;

/** Lets others have the lock: it is not fair. */
function yieldThread(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
}

function check(condition: boolean, memory: QSharedMemory): void {
  if (!condition) throw new Error(`${memory.error()}: ${memory.errorString()}`);
}

/** Ends when all of them have come. */
function produce(key: string, consumers: number): number {
  using memory = new QSharedMemory(key);
  check(memory.create(1024), memory);
  for (let i = 1; i <= HAND_OVERS + 1;) {
    check(memory.lock(), memory);
    const bytes = memory.data()!;
    if (bytes[0] === EMPTY && (i <= HAND_OVERS || bytes[1] === consumers)) {
      bytes[0] = i++ <= HAND_OVERS ? OFFERED : END;
    }
    check(memory.unlock(), memory);
    yieldThread();
  }
  return 0;
}

/** Gives how many it took. */
function consume(key: string): number {
  using memory = new QSharedMemory(key);
  while (!memory.attach()) {
    check(memory.error() === QSharedMemory.NotFound || memory.error() === QSharedMemory.KeyError, memory);
    yieldThread();
  }
  for (let taken = 0, isNew = true;;) {
    check(memory.lock(), memory);
    if (isNew) memory.data()![1]! += 1;
    isNew = false;
    const state = memory.data()![0];
    if (state === OFFERED) {
      memory.data()![0] = EMPTY;
      taken++;
    }
    check(memory.unlock(), memory);
    if (state === END) return taken;
    yieldThread();
  }
}

/** Resolves once the thread runs (which in Deno and Bun takes the main thread's help) to the promise of what its role gives. */
async function inThread(role: "produce" | "consume", key: string, consumers: number): Promise<{ result: Promise<number> }> {
  const worker = new Worker(new URL(import.meta.url), { workerData: { role, key, consumers } });
  const runs = Promise.withResolvers<void>();
  const result = Promise.withResolvers<number>();
  worker.on("error", result.reject);
  worker.on("message", (message: number | "runs") => {
    if (message === "runs") return runs.resolve();
    result.resolve(message);
    void worker.terminate();
  });
  await runs.promise;
  return { result: result.promise };
}

if (isMainThread) {
  for (const consumers of [1, 5]) {
    for (const where of ["main", "a thread"]) {
      const key = `threads ${consumers} ${where}`;
      const threads = await Promise.all(Array.from({ length: consumers }, () => inThread("consume", key, consumers)));
      if (where === "main") produce(key, consumers);
      else await (await inThread("produce", key, consumers)).result;
      const counts = await Promise.all(threads.map(({ result }) => result));
      const taken = counts.reduce((sum, count) => sum + count, 0);
      console.log(`${consumers} consumers, producer in ${where}: ${taken} taken`);
    }
  }
  console.log("end");
} else {
  const { role, key, consumers } = workerData;
  parentPort!.postMessage("runs");
  parentPort!.postMessage(role === "produce" ? produce(key, consumers) : consume(key));
}
