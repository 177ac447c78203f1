/** The guard: one runs, the others say who does. */

import { AlreadyRunningError, SingleInstance } from "../../mod.ts";

try {
  using guard = await SingleInstance.acquire("my-tool");
  console.log(guard.recovered ? "runs, and knows that the last one crashed" : "runs");
  for await (const _ of process.stdin) { /* the program's work */ }
} catch (error) {
  if (!(error instanceof AlreadyRunningError)) throw error;
  console.log(`process ${error.primary?.pid} runs already`);
}
