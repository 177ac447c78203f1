/**
 * A process with a Worker that holds guards. The argument: `thread` for node:worker_threads, `web` for Web Workers. For
 * each line on stdin it does something, and answers with a line.
 */

import { writeSync } from "node:fs";
import { createInterface } from "node:readline";
import { SingleInstance } from "../../../mod.ts";

interface WebWorker {
  postMessage(message: unknown): void;
  terminate(): void;
  onmessage: ((event: { data: string }) => void) | null;
}

const say = (line: string): void => void writeSync(1, `${line}\n`);

/** What tells the Worker, and what ends it. */
async function start(): Promise<{ tell(order: string): void; terminate(): unknown }> {
  if (process.argv[2] === "thread") {
    const { Worker } = await import("node:worker_threads");
    const worker = new Worker(new URL("./worker.ts", import.meta.url));
    worker.on("message", say);
    return { tell: (order) => worker.postMessage(order), terminate: () => worker.terminate() };
  }
  const { Worker } = globalThis as unknown as { Worker: new (url: URL, options: object) => WebWorker };
  const worker = new Worker(new URL("./worker.ts#web", import.meta.url), { type: "module" });
  worker.onmessage = ({ data }) => say(data);
  return { tell: (order) => worker.postMessage(order), terminate: () => worker.terminate() };
}

const worker = await start();
createInterface({ input: process.stdin }).on("line", async (line) => {
  const [what, name = ""] = line.split(" ");
  if (what === "worker") worker.tell(name);
  else if (what === "main") say(SingleInstance.tryAcquire(name) === undefined ? "refused" : "holds");
  else if (what === "terminate") say(`terminated ${await worker.terminate() !== null}`);
  else process.exit(0);
});
say("up");
