/**
 * What a holder and a sender do while one of them is stopped, killed and failed at each of its steps. This file is loaded
 * by the test and, by its URL, by the peers.
 */

import { appendFileSync } from "node:fs";
import type { Api, State } from "../../support/peer.ts";

/** Who is the victim, what the holder does with a request, and what the victim does. */
export interface Scene {
  readonly victim: "holder" | "sender";
  /** Answers; does not take it; or takes it, and handles it until nobody waits for it. */
  readonly holder: "answers" | "fails" | "waits" | "hangs";
  /** The step is armed before the request is sent, or before the guard is released with that request pending. */
  readonly act: "send" | "release";
  /** ms until the sender gives up. */
  readonly timeout?: number;
}

/** All of them, by name. */
export const SCENES: Readonly<Record<string, Scene>> = {
  "a holder takes and answers": { victim: "holder", holder: "answers", act: "send" },
  "a holder's handler throws": { victim: "holder", holder: "fails", act: "send" },
  "a holder leaves what waits": { victim: "holder", holder: "waits", act: "release" },
  "a holder leaves what it has taken": { victim: "holder", holder: "hangs", act: "release" },
  "a sender is answered": { victim: "sender", holder: "answers", act: "send" },
  "a sender gives up what waits": { victim: "sender", holder: "waits", act: "send", timeout: 0 },
  "a sender gives up what was taken": { victim: "sender", holder: "hangs", act: "send", timeout: 30 },
};

/** Holds the guard, and tells of every request that it begins to handle. */
export function hold(
  api: Api,
  state: State,
  { name, journal, how }: { name: string; journal: string; how: Scene["holder"] },
): boolean {
  state.guard = api.SingleInstance.tryAcquire(name)!;
  if (how !== "waits") {
    state.guard.serve(async ({ data, signal }: { data: string; signal: AbortSignal }) => {
      appendFileSync(journal, `${data}\n`);
      if (how === "fails") throw new RangeError("on purpose");
      if (how === "hangs" && data !== "later") await new Promise((resolve) => signal.addEventListener("abort", resolve));
      return { data: `reply to ${data}` };
    });
  }
  return state.guard.recovered;
}

/** Sends one, and gives what became of it. */
export async function send(api: Api, _state: State, { name, number, timeout }: {
  name: string;
  number: string;
  timeout: number | null;
}): Promise<string> {
  try {
    using running = await api.SingleInstance.connect(name);
    const { data } = await running.send(number, timeout === null ? {} : { timeout });
    return data === `reply to ${number}` ? "answered" : `false reply ${JSON.stringify(data)}`;
  } catch (error) {
    const { name, code, message, delivered, pid } = error as Error & { code?: unknown; delivered?: string; pid?: number };
    if (error instanceof api.RequestFailedError) {
      if (error.handlerName === "OutOfResourcesError") return "not stored";
      const isTrue = error.handlerName === "RangeError" && error.handlerMessage === "on purpose";
      return isTrue ? "failed" : `${name}: ${message}`;
    }
    if (error instanceof api.BusyError) return `busy: ${pid}`;
    if (delivered !== undefined) return delivered;
    return typeof code === "string" ? "typed error" : `${name}: ${message}`;
  }
}

/** Lets go of the guard, if it is held. */
export function release(_api: Api, state: State): void {
  state.guard?.release();
  delete state.guard;
}
