/**
 * Taking a guard over: asking its holder to leave, and, if that is wished, ending it.
 *
 * @module
 */

import { native } from "../../ffi/load.ts";
import type { Group } from "../../ffi/native.ts";
import type { Attachment } from "../attachment.ts";
import { AlreadyRunningError } from "../errors.ts";
import { outcome, outcomeError } from "../outcome.ts";
import { checkBoolean, checkOptions, checkTimeout } from "../validate.ts";
import type { Wait } from "../wait.ts";
import type { Candidate, Elected } from "./election.ts";

/** How to take a guard over. */
export interface ReplaceOptions {
  /** How many ms the holder has to leave when it was asked; with `kill` also after SIGTERM. */
  grace: number;
  /** Send SIGTERM, and then SIGKILL, to a holder that does not leave. Default: `false`. */
  kill?: boolean;
}

/** A checked {@linkcode ReplaceOptions}. */
export type Replacement = Required<ReplaceOptions>;

/** `enum qshm_signal` */
const KILL = 9;
const END = 15;
/** ms that the kernel may take to end a process with a SIGKILL: it frees its memory first, about 130 ms a GiB. */
const DYING = 10_000;

let functions: Group<"takeover"> | undefined;

/** The entry points for taking over. */
export function takeovers(): Group<"takeover"> {
  return functions ??= native("takeover");
}

/** Checks a `replace` option. */
export function checkReplacement(replace: ReplaceOptions): Replacement {
  const { grace, kill } = checkOptions(replace, ["grace", "kill"]);
  if (grace === undefined) throw new TypeError("Replace.grace must be a number of ms: got undefined");
  return { grace: checkTimeout(grace, "Replace.grace"), kill: checkBoolean("Replace.kill", kill, false) };
}

/** Signals the holder `id`, if it is that still; `false`: it is not. Throws where it must not, or cannot. */
function signalHolder(attachment: Attachment, id: number, signal: number): boolean {
  const result = takeovers().qshm_signal_holder(attachment.handle("replace"), id, signal, outcome);
  if (result < 0) throw outcomeError(result, "end the holder of", "instance", attachment.key);
  return result === 1;
}

/**
 * Takes the guard over: asks, and waits; with `kill` sends SIGTERM, and waits; sends SIGKILL, and waits. Only the holder
 * that there was at the beginning is asked or ended: if another one follows, that one holds the guard.
 */
export async function takeOver(candidate: Candidate, { grace, kill }: Replacement, wait: Wait): Promise<Elected> {
  const result = candidate.stand();
  if (!(result instanceof AlreadyRunningError)) return result;
  const attempt = async (timeout: number): Promise<Elected | AlreadyRunningError> => {
    try {
      return await candidate.wait({ ...wait, timeout });
    } catch (error) {
      if (error instanceof AlreadyRunningError) return error;
      throw error;
    }
  };
  using witness = candidate.join(); // while it is attached, the file stays, and no id is drawn twice
  const id = candidate.holderId();
  if (witness !== undefined) takeovers().qshm_ask_to_leave(witness.handle("replace"), id);
  let elected = await attempt(grace);
  for (const signal of kill ? [END, KILL] : []) {
    if (!(elected instanceof AlreadyRunningError) || witness === undefined || id === 0) break;
    const isSent = signalHolder(witness, id, signal);
    elected = await attempt(!isSent ? 0 : signal === KILL ? DYING : grace);
  }
  if (elected instanceof AlreadyRunningError && wait.timeout > 0) elected = await attempt(wait.timeout);
  if (elected instanceof AlreadyRunningError) throw elected;
  return elected;
}
