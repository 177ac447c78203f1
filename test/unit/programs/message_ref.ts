/** What keeps a process alive, and what does not: serving, waiting for a reply, the look for somebody who takes over. */

import { SingleInstance } from "../../../mod.ts";

const [what, ref] = process.argv.slice(2);
const options = { ...(ref === "false" && { ref: false }) };
const guard = SingleInstance.tryAcquire("served")!;

if (what === "serve") {
  guard.serve(() => {}, options);
  setTimeout(() => {
    console.log("released");
    guard.release();
  }, 700).unref(); // later than any timer of a wait comes due
} else if (what === "replaced") {
  guard.replaced.addEventListener("abort", () => console.log("replaced"));
} else {
  const running = await SingleInstance.connect("served");
  const sent = what === "send" ? running.send("ping", options) : running.forward(options);
  void sent.then(() => console.log("answered"));
  setTimeout(() => guard.serve(() => {}, { ref: false }), 700).unref();
}
console.log("waiting");
