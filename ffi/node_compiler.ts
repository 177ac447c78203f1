/**
 * What Node needs at its end, so that V8's compiler does not crash it.
 *
 * @module
 */

import { process } from "./process.ts";

/**
 * Waits for what V8 compiles on other threads. Node 26.10 frees what describes our functions when its main program, or a
 * Worker, has ended; if such a thread still reads it, the process crashes (tests: "while V8 compiles calls into the library").
 * Nothing but this function, which is for V8's own tests, waits.
 */
export function finishCompiling(): void {
  const { getBuiltinModule } = process();
  const { setFlagsFromString } = getBuiltinModule!("node:v8") as { setFlagsFromString(flags: string): void };
  const { runInThisContext } = getBuiltinModule!("node:vm") as { runInThisContext(code: string): void };
  for (let attempt = 0; attempt < 10; attempt++) { // a Worker that ends beside us may have reset the flag
    setFlagsFromString("--allow-natives-syntax");
    try {
      return runInThisContext("%FinalizeOptimization()");
    } catch {
      // in a V8 that has it no more, each time: then it is as it would be without us
    } finally {
      setFlagsFromString("--no-allow-natives-syntax");
    }
  }
}
