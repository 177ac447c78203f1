/** Other processes, in the runtime of the suite. Loaded on demand: their modules ask for permissions at once. */

import assert from "node:assert/strict";
import type { Peer } from "../support/peer.ts";
import type { RuntimeName } from "../support/runtimes.ts";

/** Where segments are; for cases that need more than the library. */
export function directory(): string {
  return process.env.QSHM_DIRECTORY!;
}

/** The runtime of the suite. */
export function thisRuntime(): RuntimeName {
  const { deno, bun } = process.versions as Record<string, string | undefined>;
  return deno !== undefined ? "deno" : bun !== undefined ? "bun" : "node";
}

/** Starts a process that works in the same directory, in this runtime unless said otherwise. */
export async function startPeer(
  options: { runtime?: RuntimeName; uid?: number; gid?: number } = {},
): Promise<Peer> {
  const { Peer } = await import("../support/peer.ts");
  const { runtime = thisRuntime(), ...rest } = options;
  return await Peer.start(runtime, { directory: directory(), ...rest });
}

/** Starts one in each runtime that is installed. */
export async function startPeers(): Promise<AsyncDisposable & { readonly peers: readonly Peer[] }> {
  const { RUNTIMES } = await import("../support/runtimes.ts");
  const peers = await Promise.all(RUNTIMES.map((runtime) => startPeer({ runtime })));
  return {
    peers,
    [Symbol.asyncDispose]: async () => void await Promise.all(peers.map((peer) => peer[Symbol.asyncDispose]())),
  };
}

/** Kills it with SIGKILL. `ChildProcess.kill()` of Deno closes its stdin before that, and it may end in order. */
export async function killPeer(peer: Peer): Promise<void> {
  process.kill(peer.pid, "SIGKILL");
  assert.equal(await peer.exited(), "SIGKILL");
}
