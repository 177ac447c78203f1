/** The same library file in processes of musl: C (c/test/abi.c) and Bun's build for it. */

import { existsSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import { testDirectory } from "../support/directory.ts";
import { excludesUntilDeath, openIn, wakes } from "../support/meeting.ts";
import { Peer, type PeerOptions } from "../support/peer.ts";
import { LIBRARY, RUNTIMES } from "../support/runtimes.ts";
import { because, unlessFetched } from "../support/skips.ts";
import { foreignRuntime, isFetched, muslLoader } from "./runtimes.ts";

describe("musl", () => {
  const hasLoader = process.arch === "x64" && existsSync("/lib/ld-musl-x86_64.so.1");
  const skip = unlessFetched(isFetched("musl-runtime") && hasLoader, "musl-runtime");
  let musl: Pick<PeerOptions, "within" | "binary">;
  beforeAll(() => {
    if (skip === undefined) musl = { within: muslLoader(), binary: foreignRuntime("musl-runtime", "bun") };
  }, 600_000);

  for (const next of RUNTIMES) {
    it.skipIf(skip)(because(`bun of musl and ${next} of glibc exclude each other, wake each other, and see deaths`, skip), async () => {
      using directory = testDirectory();
      await using one = await Peer.start("bun", { directory: directory.path, ...musl });
      await using two = await Peer.start(next, { directory: directory.path });
      for (const peer of [one, two]) await openIn(peer);
      const mapped = await one.run(async () => (await import("node:fs")).readFileSync("/proc/self/maps", "utf8"));
      expect(mapped).toContain(LIBRARY); // the file that the others have loaded
      expect(mapped).toContain("musl");
      expect(mapped).not.toContain("/libc.so.6");
      await wakes(one, two);
      await wakes(two, one);
      await excludesUntilDeath(one, two, { guard: one.pid, lock: one.pid });
      expect(directory.entries()).toEqual([]);
    });
  }
});
