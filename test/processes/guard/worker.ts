/** A Worker of either kind that acquires a guard and says how that went. See workers.ts. */

import { SingleInstance } from "../../../mod.ts";

let guard: SingleInstance | undefined;

async function obey(order: string): Promise<string> {
  if (order === "release") {
    guard!.release();
    return "released";
  }
  try {
    guard = await SingleInstance.acquire(order, { data: "worker" });
    return `holds, recovered ${guard.recovered}`;
  } catch (error) {
    return (error as Error).name;
  }
}

interface Scope {
  postMessage(message: unknown): void;
  onmessage: ((event: { data: string }) => void) | null;
}

// In a node:worker_threads Worker there is a parent port; in a Web Worker, also in Bun's, the scope itself is one.
if (import.meta.url.endsWith("#web")) {
  const scope = globalThis as unknown as Scope;
  scope.onmessage = async ({ data }) => scope.postMessage(await obey(data));
} else {
  const { parentPort } = await import("node:worker_threads");
  parentPort!.on("message", async (order: string) => parentPort!.postMessage(await obey(order)));
}
