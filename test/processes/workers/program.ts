/**
 * A process with Workers; says `ok SCENARIO` for each that passes. The argument: `thread` for node:worker_threads,
 * `web` for Web Workers.
 */

import assert from "node:assert/strict";
import { closeSync, openSync, readSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { inspect, LockError, SharedMemory } from "../../../mod.ts";
import { footprint } from "../../support/kernel.ts";
import type { Order } from "./body.ts";

const say = (line: string): void => void writeSync(1, `${line}\n`);
const kind = process.argv[2] as "thread" | "web";

interface Port {
  send(order: Order): void;
  terminate(): Promise<unknown> | void;
}

interface WebWorker {
  postMessage(message: unknown): void;
  terminate(): void;
  onmessage: ((event: { data: unknown }) => void) | null;
  onerror: ((event: { message: string }) => void) | null;
}

type Answer = { value?: unknown; error?: string };

/** A Worker that answers. */
class Hand {
  readonly ended: Promise<void>;
  readonly #answers: PromiseWithResolvers<Answer>[] = [];
  readonly #port: Port;

  private constructor(port: (onAnswer: (answer: Answer) => void) => { port: Port; ended: Promise<void> }) {
    const { port: opened, ended } = port((answer) => this.#answers.shift()!.resolve(answer));
    this.#port = opened;
    this.ended = ended;
  }

  static async start(): Promise<Hand> {
    const { Worker } = await import("node:worker_threads");
    return new Hand((onAnswer) => {
      if (kind === "thread") {
        const worker = new Worker(new URL("./body.ts", import.meta.url));
        worker.on("message", onAnswer);
        const ended = new Promise<void>((resolve) => worker.on("exit", () => resolve()));
        return { ended, port: { send: (order) => worker.postMessage(order), terminate: () => worker.terminate() } };
      }
      const { Worker: Web } = globalThis as unknown as { Worker: new (url: URL, options: object) => WebWorker };
      const worker = new Web(new URL("./body.ts#web", import.meta.url), { type: "module" });
      worker.onmessage = ({ data }) => onAnswer(data as Answer);
      worker.onerror = ({ message }) => say(`worker error: ${message}`);
      return {
        ended: Promise.resolve(),
        port: { send: (order) => worker.postMessage(order), terminate: () => worker.terminate() },
      };
    });
  }

  async tell(order: Order): Promise<unknown> {
    const waiting = Promise.withResolvers<Answer>();
    this.#answers.push(waiting);
    this.#port.send(order);
    const { value, error } = await waiting.promise;
    if (error !== undefined) throw new Error(error);
    return value;
  }

  /** Gives an order that is not answered. */
  tellLast(order: Order): void {
    this.#port.send(order);
  }

  async terminate(): Promise<void> {
    await this.#port.terminate();
  }
}

/** Does somebody sleep in lockSync()? */
function hasSleeper(path: string): boolean {
  const bytes = new Uint8Array(8);
  const fd = openSync(path, "r");
  readSync(fd, bytes, 0, 8, 64);
  closeSync(fd);
  return (bytes[3]! & 0x80) !== 0;
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function exchange(): Promise<void> {
  using memory = SharedMemory.create("exchange", 4);
  const hand = await Hand.start();
  assert.equal(await hand.tell({ do: "attach", key: "exchange" }), 4);
  await hand.tell({ do: "write", bytes: [1, 2, 3, 4] });
  assert.deepEqual([...memory.read()], [1, 2, 3, 4]);
  memory.data.set([5, 6, 7, 8]);
  assert.deepEqual(await hand.tell({ do: "read" }), [5, 6, 7, 8]);
  assert.equal(inspect("memory", "exchange")?.attached.length, 2);
  assert.equal(await hand.tell({ do: "detach" }), true);
  assert.equal(inspect("memory", "exchange")?.attached.length, 1);
  await hand.terminate();
}

async function exclude(): Promise<void> {
  using memory = SharedMemory.create("exclude", 4);
  const hands = await Promise.all([Hand.start(), Hand.start()]);
  for (const hand of hands) await hand.tell({ do: "attach", key: "exclude" });
  const counts = hands.map((hand) => hand.tell({ do: "count", times: 5000 }));
  const words = new Uint32Array(memory.data.buffer, 0, 1);
  for (let i = 0; i < 1000; i++) {
    const lock = await memory.lock();
    words[0] = words[0]! + 1;
    lock.unlock();
  }
  await Promise.all(counts);
  assert.equal(words[0], 11_000);
  for (const hand of hands) {
    await hand.tell({ do: "detach" });
    await hand.terminate();
  }
}

async function waitForMain(): Promise<void> {
  using memory = SharedMemory.create("wait", 4);
  const hand = await Hand.start();
  await hand.tell({ do: "attach", key: "wait" });
  const lock = memory.lockSync();
  const got = hand.tell({ do: "lock and unlock" });
  while (!hasSleeper(memory.path)) await turn();
  lock.unlock();
  assert.equal(await got, false);
  // And the other way round: the Worker owns, the main thread waits without blocking.
  assert.equal(await hand.tell({ do: "lock" }), false);
  assert.equal(memory.tryLock(), undefined);
  const waiting = memory.lock();
  await hand.tell({ do: "detach" });
  assert.equal((await waiting).ownerDied, false);
  await hand.terminate();
}

async function terminate(): Promise<void> {
  using memory = SharedMemory.create("terminate", 4);
  const hand = await Hand.start();
  await hand.tell({ do: "attach", key: "terminate" });
  await hand.tell({ do: "lock" });
  await hand.terminate();
  // Its attachment ends with the process; until then it owns the lock.
  assert.equal(memory.tryLock(), undefined);
  assert.equal(memory.lockOwner?.pid, process.pid);
  assert.equal(memory.lockOwner?.alive, true);
  assert.equal(memory.forceUnlock(memory.lockOwner)?.pid, process.pid);
  const lock = memory.tryLock();
  assert.equal(lock?.ownerDied, true);
  lock!.unlock();
}

/** A Worker ends by itself: the main thread's own attachment stays as it is. */
async function exit(): Promise<void> {
  using memory = SharedMemory.create("exit", 4);
  const lock = memory.lockSync();
  const hand = await Hand.start();
  await hand.tell({ do: "attach", key: "exit" });
  hand.tellLast({ do: "exit" });
  await hand.ended;
  assert.equal(memory.isAttached, true);
  memory.write(Uint8Array.of(9));
  assert.equal(memory.read(0, 1)[0], 9);
  lock.unlock(); // does not throw
  assert.equal(inspect("memory", "exit")?.state, "live");
}

/** Workers that end by themselves leave no mapping and no descriptor, so that a process can have any number of them. */
async function leave(): Promise<void> {
  using memory = SharedMemory.create("leave", 4);
  const place = dirname(memory.path);
  const before = JSON.stringify(footprint(process.pid, place));
  for (let i = 0; i < 3; i++) {
    const hand = await Hand.start();
    await hand.tell({ do: "attach", key: "leave" });
    hand.tellLast({ do: "exit" });
    await hand.ended;
  }
  assert.equal(JSON.stringify(footprint(process.pid, place)), before);
}

const scenarios = { exchange, exclude, waitForMain, terminate, exit, leave };
for (const [name, scenario] of Object.entries(scenarios)) {
  if (kind === "web" && (name === "exit" || name === "leave")) continue; // no runtime tells of a Web Worker's end
  try {
    await scenario();
    say(`ok ${name}`);
  } catch (error) {
    say(
      `failed ${name}: ${error instanceof LockError ? "LockError " : ""}${
        (error as Error).stack?.replaceAll("\n", " | ")
      }`,
    );
  }
}
say("end");
process.exit(0);
