/** Other processes, in the runtime of the suite. Loaded on demand: their modules ask for permissions at once. */

import assert from "node:assert/strict";
import type { Peer } from "../support/peer.ts";

/** Where segments are; for cases that need more than the library. */
export function directory(): string {
  return process.env.QSHM_DIRECTORY!;
}

/** Starts a process of this runtime that works in the same directory. */
export async function startPeer(options: { uid?: number; gid?: number } = {}): Promise<Peer> {
  const { Peer } = await import("../support/peer.ts");
  const { deno, bun } = process.versions as Record<string, string | undefined>;
  const runtime = deno !== undefined ? "deno" : bun !== undefined ? "bun" : "node";
  return await Peer.start(runtime, { directory: directory(), ...options });
}

/** Kills it with SIGKILL. `ChildProcess.kill()` of Deno closes its stdin before that, and it may end in order. */
export async function killPeer(peer: Peer): Promise<void> {
  process.kill(peer.pid, "SIGKILL");
  assert.equal(await peer.exited(), "SIGKILL");
}
