/** A guard's holders and observers, stopped, killed and failed at every step, in every runtime; see guard/campaign.ts. */

import { describe, expect, it } from "vitest";
import { testDirectory } from "../support/directory.ts";
import { RUNTIMES } from "../support/runtimes.ts";
import { type Action, Campaign } from "./guard/campaign.ts";
import { SCENES } from "./guard/scenes.ts";

/** Steps that every campaign must have met. */
const OWN_STEPS = ("attached to guard,info written,info published,fcntl lock,guard held,info cleared," +
  "fcntl unlock,guard released,unlinkat").split(",");
const LOOKS = ["info read", "pread", "read /proc"];
const PROMISES: Readonly<Record<Action, string>> = {
  stop: "has one holder, who is told as it is, when a process is stopped at any step",
  kill: "can be had, and tells of a crash exactly then, when a process is killed at any step",
  fail: "has the one holder that it says when a system call fails",
};

describe.concurrent("guard and faults", () => {
  for (const [i, runtime] of RUNTIMES.entries()) {
    for (const action of ["stop", "kill", "fail"] as const) {
      it(`a guard in ${runtime} ${PROMISES[action]}`, { timeout: 600_000 }, async () => {
        const hits: Record<string, number> = {};
        let busy = 0;
        // Whoever is stopped within an internal lock lets another one wait for a second: several lanes wait side by side.
        const lanes = action === "stop" ? 3 : 1;
        await Promise.all(Array.from({ length: lanes }, async (_, lane) => {
          using directory = testDirectory();
          await using campaign = new Campaign(runtime, action, directory);
          for (const [j, [what, scene]] of Object.entries(SCENES).entries()) {
            // A bystander's death is tried in one runtime each: every step costs a process.
            if (action === "kill" && scene.witness === "holds" && (j >> 1) % RUNTIMES.length !== i) continue;
            await campaign.run(what, scene, lane + 1, lanes);
          }
          for (const [step, times] of Object.entries(campaign.hits)) hits[step] = (hits[step] ?? 0) + times;
          busy += campaign.busy;
        }));
        const total = Object.values(hits).reduce((a, b) => a + b, 0);
        console.log(`${action} in ${runtime}, ${total}, busy ${busy}: ${JSON.stringify(hits)}`);
        if (action === "stop") expect(busy).toBeGreaterThan(0);
        expect(Object.keys(hits)).toEqual(expect.arrayContaining(action === "kill" ? OWN_STEPS : [...OWN_STEPS, ...LOOKS]));
      });
    }
  }
});
