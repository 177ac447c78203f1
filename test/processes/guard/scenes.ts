/**
 * What a guard's processes do when they are stopped, killed and failed at each of their steps. This file is loaded by
 * the test and, by its URL, by the peers.
 */

import type { InstanceInfo } from "../../../mod.ts";
import type { Api, State } from "../../support/peer.ts";

export type Act = "acquire" | "release" | "connect";

/** What there is before the victim acts, and what it does. */
export interface Scene {
  /** The last holder was killed: its file is there. */
  readonly crashed?: boolean;
  /** Holds it; or waits for the victim to release it. */
  readonly witness?: "holds" | "waits";
  readonly act: Act;
}

/** All of them, by name. */
export const SCENES: Readonly<Record<string, Scene>> = {
  "acquire()": { act: "acquire" },
  "acquire(), after a crash": { crashed: true, act: "acquire" },
  "acquire(), held by another": { witness: "holds", act: "acquire" },
  "release()": { act: "release" },
  "release(), waited for": { witness: "waits", act: "release" },
  "connect()": { witness: "holds", act: "connect" },
};

/** Who is seen: what it says of itself, and the pid that goes with it. */
export interface Seen {
  readonly token: string;
  readonly pid: number | null;
}

/** What came of a request for the guard, or of a look. */
export interface Outcome {
  /** `done`, or an error's name. */
  readonly how: string;
  readonly code?: string | undefined;
  readonly message?: string;
  /** The process that is in the way. */
  readonly pid?: number | undefined;
  readonly recovered?: boolean;
  readonly seen?: Seen;
}

function seen({ data, pid, args }: InstanceInfo): Seen {
  return { token: data === args[0] ? String(data) : `${JSON.stringify(data)} with ${args}`, pid: pid ?? null };
}

function failure(thrown: unknown): Outcome {
  const { name, message, code, pid, primary } = thrown as Error & { code?: unknown; pid?: number; primary?: InstanceInfo };
  return {
    how: name,
    message,
    code: typeof code === "string" ? code : undefined,
    pid,
    ...(primary && { seen: seen(primary) }),
  };
}

/** Asks for the guard, with a token as data and as its only argument. */
export async function acquire(api: Api, state: State, name: string, token: string, timeout = 0): Promise<Outcome> {
  try {
    state.guard = await api.SingleInstance.acquire(name, { data: token, args: [token], timeout });
    return { how: "done", recovered: state.guard.recovered };
  } catch (error) {
    return failure(error);
  }
}

/** Looks who holds it. */
export async function connect(api: Api, name: string): Promise<Outcome> {
  try {
    using running = await api.SingleInstance.connect(name);
    return { how: "done", seen: seen(running.info) };
  } catch (error) {
    return failure(error);
  }
}

/** Lets go of it, if it is held. */
export function release(state: State): Outcome {
  state.guard?.release();
  delete state.guard;
  return { how: "done" };
}

/** Does what the scene says, the victim's token being its pid. */
export function perform(api: Api, state: State, name: string, act: Act): Promise<Outcome> | Outcome {
  if (act === "acquire") return acquire(api, state, name, String(process.pid));
  return act === "release" ? release(state) : connect(api, name);
}
