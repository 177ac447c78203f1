/**
 * Ends in the moment in which V8 has begun to compile calls into the library on another thread; with "workers", so do 16
 * Workers before. For Node.
 */

import { setFlagsFromString } from "node:v8";
import { isMainThread, Worker } from "node:worker_threads";
import { SharedMemory } from "../../../mod.ts";

/** One of the functions for V8's own tests. */
function native(code: string): (f: unknown) => void {
  for (;;) {
    setFlagsFromString("--allow-natives-syntax"); // a Worker that ends resets it
    try {
      return new Function("f", code) as (f: unknown) => void;
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
    }
  }
}

function endWhileCompiling(): void {
  const memory = SharedMemory.create(`compiling ${crypto.randomUUID()}`, 64);
  const callers = Array.from({ length: 8 }, (_, i) => new Function("memory", "memory.notify();".repeat(100) + i));
  const prepare = native("%PrepareFunctionForOptimization(f)");
  const optimize = native("%OptimizeFunctionOnNextCall(f, 'concurrent')");
  for (const call of callers) {
    prepare(call);
    for (let i = 0; i < 50; i++) call(memory);
  }
  for (const call of callers) {
    optimize(call);
    call(memory);
  }
}

if (isMainThread && process.argv[2] === "workers") {
  for (let i = 0; i < 8; i++) {
    await Promise.all([1, 2].map(() => {
      return new Promise((resolve, reject) => new Worker(new URL(import.meta.url)).on("error", reject).on("exit", resolve));
    }));
  }
}
endWhileCompiling();
