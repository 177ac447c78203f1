/** What keeps a process alive, and what does not: waiting for a guard, waiting for its holder, holding it. */

import { SingleInstance } from "../../../mod.ts";

const [what, ref] = process.argv.slice(2);
const options = { timeout: Infinity, ...(ref === "false" && { ref: false }) };
const guard = SingleInstance.tryAcquire("held")!;

if (what === "acquire") {
  void SingleInstance.acquire("held", options).then(() => console.log("held"));
  setTimeout(() => guard.release(), 100).unref();
} else if (what === "connect") {
  void SingleInstance.connect("not held", options).then(() => console.log("connected"));
  setTimeout(() => SingleInstance.tryAcquire("not held"), 100).unref();
} else {
  guard.lost.addEventListener("abort", () => console.log("lost"));
}
console.log("waiting");
