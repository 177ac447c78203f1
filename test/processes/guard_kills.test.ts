/** Holders of a guard, and those who want it, are killed: the bounded form of test/torture/guard.ts. */

import { describe, expect, it } from "vitest";
import { testDirectory } from "../support/directory.ts";
import { Peer } from "../support/peer.ts";
import { printedRandom } from "../support/random.ts";
import { RUNTIMES } from "../support/runtimes.ts";
import { guardTorture } from "../torture/guard.ts";

const KILLS = 200;

describe("guard and kills", () => {
  it("one holds, is seen as it is, and is told of a crash exactly when processes are killed", { timeout: 600_000 }, async () => {
    using directory = testDirectory();
    const result = await guardTorture({ directory: directory.path, kills: KILLS, random: printedRandom("guard") });
    const { violations, killed, kills, looks, holders, recovered } = result;
    console.log(
      `guard: killed ${JSON.stringify(killed)}, namely ${JSON.stringify(kills)}; ${holders} held it, ` +
        `${recovered} after a crash; seen ${JSON.stringify(looks)}`,
    );
    expect(violations).toEqual([]);
    expect(Object.values(killed).reduce((a, b) => a + b)).toBeGreaterThanOrEqual(KILLS);
    for (const runtime of RUNTIMES) expect(killed[runtime], runtime).toBeGreaterThan(0);
    expect(kills.holding).toBeGreaterThan(KILLS / 4);
    expect(kills.asking).toBeGreaterThan(KILLS / 20);
    expect(looks.saw).toBeGreaterThan(KILLS);
    for (const runtime of RUNTIMES) {
      await using peer = await Peer.start(runtime, { directory: directory.path });
      await peer.run(({ SingleInstance }) => SingleInstance.tryAcquire("torture")!.release());
      expect(directory.entries()).toEqual([]);
    }
  });
});
