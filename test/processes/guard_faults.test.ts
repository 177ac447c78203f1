/** A guard's holders and observers, stopped, killed and failed at every step, in every runtime; see guard/campaign.ts. */

import { describe, expect, it } from "vitest";
import { testDirectory } from "../support/directory.ts";
import { RUNTIMES } from "../support/runtimes.ts";
import { type Action, Campaign } from "./guard/campaign.ts";
import { SCENES } from "./guard/scenes.ts";

/** Steps that every campaign must have met. */
const STEPS = ("attached to guard,info withdrawn,info written,info published,fcntl lock,guard held,info cleared," +
  "fcntl unlock,guard released,info read,pread,linkat,unlinkat,read /proc").split(",");
const PROMISES: Readonly<Record<Action, string>> = {
  stop: "has one holder, who is told as it is, when a process is stopped at any step",
  kill: "can be had, and tells of a crash exactly then, when a process is killed at any step",
  fail: "has the one holder that it says when a system call fails",
};

describe.concurrent("guard and faults", () => {
  for (const runtime of RUNTIMES) {
    for (const action of ["stop", "kill", "fail"] as const) {
      it(`a guard in ${runtime} ${PROMISES[action]}`, { timeout: 600_000 }, async () => {
        using directory = testDirectory();
        await using campaign = new Campaign(runtime, action, directory);
        for (const [what, scene] of Object.entries(SCENES)) await campaign.run(what, scene);
        const total = Object.values(campaign.hits).reduce((a, b) => a + b, 0);
        console.log(`${action} in ${runtime}, ${total}, busy ${campaign.busy}: ${JSON.stringify(campaign.hits)}`);
        if (action === "stop") expect(campaign.busy).toBeGreaterThan(0);
        expect(Object.keys(campaign.hits)).toEqual(expect.arrayContaining(STEPS));
      });
    }
  }
});
