/**
 * The operations that are stopped, killed and failed at each of their steps. This file is loaded by the test and, by
 * its URL, by the peers: what a peer does with its own attachment stands in {@linkcode prepare}, {@linkcode perform}
 * and {@linkcode finish}.
 */

import type { Api, State } from "../../support/peer.ts";

/** What stands at the name, and who has what, before the victim acts. */
export interface Scene {
  /** The file: none, or left by processes that are gone. */
  readonly file?: "dead";
  /** Is the witness attached, and does it hold the lock? */
  readonly witness?: "attached" | "locked";
  /** Has the victim something already? */
  readonly victim?: "attached" | "locked";
  /** Somebody who is dead holds the lock. */
  readonly deadOwner?: boolean;
  /** What the victim does. */
  readonly act: Act;
  /** What another process does while the victim is stopped, or after it died. */
  readonly rescue: Rescue;
}

export type Act = "create" | "attach" | "open" | "detach" | "tryLock" | "lockSync" | "lock" | "unlock" | "forceUnlock";
export type Rescue = "create" | "attach" | "open" | "detach" | "lock";

/** All of them, by name. */
export const OPERATIONS: Readonly<Record<string, Scene>> = {
  "create()": { act: "create", rescue: "create" },
  "create(), of a dead name": { file: "dead", act: "create", rescue: "create" },
  "attach()": { witness: "attached", act: "attach", rescue: "attach" },
  "attach(), of a dead name": { file: "dead", act: "attach", rescue: "open" },
  "open(), existing": { witness: "attached", act: "open", rescue: "open" },
  "open(), not existing": { act: "open", rescue: "open" },
  "open(), of a dead name": { file: "dead", act: "open", rescue: "open" },
  "detach(), not the last": { witness: "attached", victim: "attached", act: "detach", rescue: "detach" },
  "detach(), the last": { victim: "attached", act: "detach", rescue: "open" },
  "detach(), owning the lock": { witness: "attached", victim: "locked", act: "detach", rescue: "lock" },
  "tryLock()": { witness: "attached", victim: "attached", act: "tryLock", rescue: "lock" },
  "tryLock(), after a dead owner": {
    witness: "attached",
    victim: "attached",
    deadOwner: true,
    act: "tryLock",
    rescue: "lock",
  },
  "lockSync()": { witness: "attached", victim: "attached", act: "lockSync", rescue: "lock" },
  "lockSync(), after a dead owner": {
    witness: "attached",
    victim: "attached",
    deadOwner: true,
    act: "lockSync",
    rescue: "lock",
  },
  "lockSync(), held by another": { witness: "locked", victim: "attached", act: "lockSync", rescue: "lock" },
  "lock()": { witness: "attached", victim: "attached", act: "lock", rescue: "lock" },
  "lock(), after a dead owner": {
    witness: "attached",
    victim: "attached",
    deadOwner: true,
    act: "lock",
    rescue: "lock",
  },
  "lock(), held by another": { witness: "locked", victim: "attached", act: "lock", rescue: "lock" },
  "unlock()": { witness: "attached", victim: "locked", act: "unlock", rescue: "lock" },
  "forceUnlock()": { witness: "locked", victim: "attached", act: "forceUnlock", rescue: "lock" },
};

/** Bytes of every segment here. */
export const SIZE = 64;
/** How long the victim waits for a lock that another has: longer than the 5 ms after which it becomes the heir. */
const PATIENCE = 8;

/** Gives a peer what the scene says it has. */
export function prepare(api: Api, state: State, key: string, has: "attached" | "locked" | undefined): void {
  if (has === undefined) return;
  state.memory = api.SharedMemory.open(key, SIZE);
  state.memory.data.fill(0); // with a view, detach has more steps
  if (has === "locked") state.lock = state.memory.lockSync();
}

/** Does the act; what it gave is kept for {@linkcode finish}. */
export async function perform(api: Api, state: State, key: string, act: Act): Promise<void> {
  const { SharedMemory } = api;
  if (act === "create") state.memory = SharedMemory.create(key, SIZE);
  else if (act === "attach") state.memory = SharedMemory.attach(key);
  else if (act === "open") state.memory = SharedMemory.open(key, SIZE);
  else if (act === "detach") state.memory.detach();
  else if (act === "tryLock") state.lock = state.memory.tryLock();
  else if (act === "lockSync") state.lock = state.memory.lockSync({ timeout: PATIENCE });
  else if (act === "lock") state.lock = await state.memory.lock({ timeout: PATIENCE });
  else if (act === "unlock") state.lock.unlock();
  else state.memory.forceUnlock();
}

/** Is what a rescuer has still what the name leads to? Null, or what is wrong. */
function checkRescued({ SharedMemory }: Api, { rescued }: State): string | null {
  if (rescued === undefined) return null;
  const again = SharedMemory.tryAttach(rescued.key);
  if (again === undefined) return "a live segment lost its name";
  rescued.data[0]++;
  const same = again.data[0] === rescued.data[0];
  again.detach();
  return same ? null : "two live segments have one name";
}

/** Lets go of everything. Null, or what is wrong. */
export function finish(api: Api, state: State): string | null {
  const wrong = checkRescued(api, state);
  try {
    state.lock?.unlock();
  } catch (error) {
    if ((error as Error).name !== "LockError") throw error; // it was taken away
  }
  state.memory?.detach();
  state.rescued?.detach();
  delete state.lock;
  delete state.memory;
  delete state.rescued;
  return wrong;
}
