/** Other processes, in the runtime of the suite. Loaded on demand: their modules ask for permissions at once. */

import type { Peer } from "../support/peer.ts";

/** Where segments are; for cases that need more than the library. */
export function directory(): string {
  return process.env.QSHM_DIRECTORY!;
}

/** Starts a process of this runtime that works in the same directory. */
export async function startPeer(): Promise<Peer> {
  const { Peer } = await import("../support/peer.ts");
  const { deno, bun } = process.versions as Record<string, string | undefined>;
  return await Peer.start(deno !== undefined ? "deno" : bun !== undefined ? "bun" : "node", { directory: directory() });
}
