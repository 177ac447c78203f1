/** A Worker of either kind: each message is an order by name, each answer a message. See program.ts. */

import { SharedMemory } from "../../../mod.ts";

/** What a Worker can be told to do. */
export type Order =
  | { readonly do: "attach"; readonly key: string }
  | { readonly do: "write"; readonly bytes: readonly number[] }
  | { readonly do: "read" }
  | { readonly do: "lock" }
  | { readonly do: "lock and unlock" }
  | { readonly do: "count"; readonly times: number }
  | { readonly do: "detach" }
  | { readonly do: "exit" };

let memory: SharedMemory | undefined;

function obey(order: Order): unknown {
  switch (order.do) {
    case "attach":
      memory = SharedMemory.attach(order.key);
      return memory.size;
    case "write":
      memory!.write(Uint8Array.from(order.bytes));
      return null;
    case "read":
      return [...memory!.read(0, 4)];
    case "lock":
      return memory!.lockSync().ownerDied;
    case "lock and unlock": {
      using lock = memory!.lockSync();
      return lock.ownerDied;
    }
    case "count": {
      const words = new Uint32Array(memory!.data.buffer, 0, 1);
      for (let i = 0; i < order.times; i++) {
        using _lock = memory!.lockSync();
        words[0] = words[0]! + 1;
      }
      return null;
    }
    case "detach":
      return memory!.detach();
    case "exit":
      process.exit(0);
  }
}

function answer(order: Order): { value?: unknown; error?: string } {
  try {
    return { value: obey(order) };
  } catch (error) {
    return { error: `${(error as Error).name}: ${(error as Error).message}` };
  }
}

interface Scope {
  postMessage(message: unknown): void;
  onmessage: ((event: { data: Order }) => void) | null;
}

// In a node:worker_threads Worker there is a parent port; in a Web Worker, also in Bun's, the scope itself is one.
if (import.meta.url.endsWith("#web")) {
  const scope = globalThis as unknown as Scope;
  scope.onmessage = ({ data }) => scope.postMessage(answer(data));
} else {
  const { parentPort } = await import("node:worker_threads");
  parentPort!.on("message", (order: Order) => parentPort!.postMessage(answer(order)));
}
