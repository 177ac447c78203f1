/** Small programs about what keeps a process alive, by their first argument. */

import { writeSync } from "node:fs";
import { SingleInstance } from "../../../mod.ts";

const say = (line: string): void => void writeSync(1, `${line}\n`);

switch (process.argv[2]) {
  case "hold": { // holds, watches whether it is lost, and ends
    const guard = await SingleInstance.acquire("mine");
    say(`holding ${guard.recovered} ${guard.lost.aborted}`);
    break;
  }
  case "wait": // waits for a guard that another process holds
    void SingleInstance.acquire("waited", { timeout: Infinity }).then((guard) => {
      say("got");
      guard.release();
    });
    say("waiting");
    break;
  case "wait without ref":
    void SingleInstance.acquire("waited", { timeout: Infinity, ref: false }).then(() => say("got"));
    say("waiting");
    break;
  case "connect": // waits for somebody to hold it
    void SingleInstance.connect("later", { timeout: Infinity }).then(({ info }) => say(`found ${info.pid}`));
    say("waiting");
    break;
  case "connect without ref":
    void SingleInstance.connect("later", { timeout: Infinity, ref: false }).then(() => say("found"));
    say("waiting");
    break;
}
