/** Every operation, stopped, killed and failed at every step, in every runtime; see faults/campaign.ts. */

import { describe, expect, it } from "vitest";
import { testDirectory } from "../support/directory.ts";
import { RUNTIMES } from "../support/runtimes.ts";
import { type Action, Campaign } from "./faults/campaign.ts";
import { OPERATIONS } from "./faults/operations.ts";

/** Steps that every campaign must have met. */
const STEPS = (
  "openat,openat draft,fallocate,mmap,linkat,published,opened,id drawn,dead,unlinkat,fcntl lock,fcntl unlock," +
  "counted out,last,lock taken,takeover,asleep,woken,lock freed,force,forced"
).split(",");
const PROMISES: Readonly<Record<Action, string>> = {
  stop: "hang nobody, and name the process in the way, when it is stopped at any step",
  kill: "leave nothing that the next process cannot mend when the process is killed at any step",
  fail: "report it and leave nothing when a system call fails",
};

describe.concurrent("faults", () => {
  for (const runtime of RUNTIMES) {
    for (const action of ["stop", "kill", "fail"] as const) {
      it(`all operations in ${runtime} ${PROMISES[action]}`, { timeout: 600_000 }, async () => {
        using directory = testDirectory();
        await using campaign = new Campaign(runtime, action, directory);
        for (const [name, scene] of Object.entries(OPERATIONS)) await campaign.run(name, scene);
        const total = Object.values(campaign.hits).reduce((a, b) => a + b, 0);
        console.log(`${action} in ${runtime}, ${total}, busy ${campaign.busy}: ${JSON.stringify(campaign.hits)}`);
        if (action === "stop") expect(campaign.busy).toBeGreaterThan(0);
        else expect(campaign.busy).toBe(0);
        expect(Object.keys(campaign.hits)).toEqual(expect.arrayContaining(STEPS));
      });
    }
  }
});
