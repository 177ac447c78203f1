/** A process whose Worker (node:worker_threads) holds a guard and answers; each line on stdin is an order. Any runtime. */

import { writeSync } from "node:fs";
import { createInterface } from "node:readline";
import { isMainThread, parentPort, Worker } from "node:worker_threads";
import { SingleInstance } from "../../../mod.ts";

if (isMainThread) {
  SingleInstance.tryAcquire("other")!.release(); // uses the library too: it stays when the Worker has gone
  const worker = new Worker(new URL(import.meta.url));
  worker.on("message", (line) => writeSync(1, `${line}\n`));
  createInterface({ input: process.stdin }).on("line", async (order) => {
    if (order === "exit") process.exit(0);
    if (order === "terminate") {
      await worker.terminate();
      writeSync(1, "terminated\n");
    } else {
      worker.postMessage(order);
    }
  });
} else {
  const guard = await SingleInstance.acquire("ends");
  guard.serve(({ data }) => ({ data: `worker: ${data}` }));
  parentPort!.on("message", () => {
    guard.release();
    parentPort!.postMessage("released");
  });
  parentPort!.postMessage("serves");
}
