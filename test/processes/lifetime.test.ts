/** At most one live segment of a name, whoever is killed: the bounded form of test/torture/lifetime.ts. */

import { describe, expect, it } from "vitest";
import { testDirectory } from "../support/directory.ts";
import { Peer } from "../support/peer.ts";
import { printedRandom } from "../support/random.ts";
import { RUNTIMES } from "../support/runtimes.ts";
import { lifetimeTorture } from "../torture/lifetime.ts";

describe("lifetime", () => {
  it("open() and its kin never make two live segments of a name when users die", { timeout: 600_000 }, async () => {
    using directory = testDirectory();
    const result = await lifetimeTorture({ directory: directory.path, kills: 300, random: printedRandom("lifetime") });
    console.log(`lifetime: killed ${JSON.stringify(result.kills)}, ${result.reports} attachments reported`);
    expect(result.violations).toEqual([]);
    expect(Object.values(result.kills).reduce((a, b) => a + b)).toBeGreaterThanOrEqual(300);
    for (const runtime of RUNTIMES) {
      await using peer = await Peer.start(runtime, { directory: directory.path });
      await peer.run(({ SharedMemory }) => {
        for (const key of ["one", "two"]) SharedMemory.create(key, 64).detach();
      });
      expect(directory.entries()).toEqual([]);
    }
  });
});
