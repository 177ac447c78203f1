/**
 * Standing for a guard: joining its file, and asking the library whether we are the one.
 *
 * A wait is a series of single tries, each of which looks at the whole condition again. Those who wait stay attached, so
 * that one try is one system call while somebody holds the guard.
 *
 * @module
 */

import { Attachment } from "../attachment.ts";
import { AlreadyRunningError, IncompatibleError, withLibrary } from "../errors.ts";
import { outcome, outcomeError, outcomeFlags, RECOVERED, USED } from "../outcome.ts";
import { encodeDirectory, encodeKey } from "../validate.ts";
import { poll, type Wait } from "../wait.ts";
import { findHolder, guards, type Holder } from "./info.ts";

/** What to hold, and what to say of oneself. Values are checked, except for name and directory. */
export interface ElectionRequest {
  readonly name: string;
  readonly directory: string | undefined;
  readonly mode: number;
  /** As `encodeInfo` made it. */
  readonly info: Uint8Array;
  /** Bytes of a message, or a reply, at most. */
  readonly largestMessage: number;
}

/** Who was elected. */
export interface Elected {
  readonly attachment: Attachment;
  /** The last holder ended without releasing. */
  readonly recovered: boolean;
}

const WON = 1;
const REMOVED = -5;
/** ms: how long a single try waits for a process that is inside an internal lock. */
const PATIENCE = 1000;

/** One that wants the guard. */
export class Candidate {
  readonly #request: ElectionRequest;
  readonly #key: Uint8Array;
  readonly #directory: Uint8Array;
  #attachment: Attachment | undefined;
  #incompatible: IncompatibleError | undefined;

  constructor(request: ElectionRequest) {
    this.#request = request;
    this.#key = encodeKey(request.name);
    this.#directory = encodeDirectory(request.directory);
  }

  /** One try; throws what makes all further tries senseless. Afterwards it either guards or holds nothing. */
  stand(): Elected | AlreadyRunningError {
    const began = performance.now();
    try {
      for (;;) {
        const elected = this.#try(PATIENCE);
        if (elected !== undefined) return elected;
        const holder = this.#holder();
        // Nobody: it was released between the two questions.
        if (holder !== undefined || this.#incompatible !== undefined || performance.now() - began > PATIENCE) {
          return this.#refused(holder);
        }
      }
    } finally {
      this.#withdraw();
    }
  }

  /** One try, without looking who is in the way. */
  tryOnce(): Elected | undefined {
    try {
      return this.#try(PATIENCE);
    } finally {
      this.#withdraw();
    }
  }

  /** Which attachment holds it now; 0: nobody, or nobody who says so. */
  holderId(): number {
    return this.#holder()?.id ?? 0;
  }

  /** A further attachment to the guard's file; `undefined`: another version of qshm uses it. */
  join(): Attachment | undefined {
    return this.#attach();
  }

  /** Waits for the guard. Rejects with {@linkcode AlreadyRunningError} when time is up. */
  wait(wait: Wait): Promise<Elected> {
    return poll(wait, (last, again) => {
      if (!last) {
        const elected = this.#try(0);
        this.#attachment?.bell.open();
        this.#attachment?.bell.addListener(again);
        return elected;
      }
      const result = this.stand();
      if (result instanceof AlreadyRunningError) throw result;
      return result;
    }).finally(() => this.#withdraw());
  }

  /** Asks once. `undefined`: another one holds it, or with no patience: is about to. */
  #try(patience: number): Elected | undefined {
    const { name, info, largestMessage } = this.#request;
    for (const began = performance.now();;) {
      this.#attachment ??= this.#attach();
      const attachment = this.#attachment;
      if (attachment === undefined) return undefined;
      const { qshm_elect } = withLibrary("acquire", name, guards);
      const result = qshm_elect(attachment.handle("acquire"), patience, info, info.length, largestMessage, outcome);
      if (result === WON) {
        this.#attachment = undefined; // it is the guard's now
        attachment.bell.close();
        const reclaimed = attachment.created && attachment.recovered;
        return { attachment, recovered: reclaimed || (outcomeFlags() & RECOVERED) !== 0 };
      }
      const error = result < 0 ? outcomeError(result, "acquire", "instance", name) : undefined;
      if (error !== undefined && (result !== REMOVED || performance.now() - began > PATIENCE)) throw error;
      if (error === undefined) return undefined;
      this.#withdraw(); // its file was removed from outside: there may be another one at the name
    }
  }

  /** Joins the file. `undefined`: another version of qshm uses it, so the guard counts as held. */
  #attach(): Attachment | undefined {
    const { name, directory, mode } = this.#request;
    this.#incompatible = undefined;
    try {
      return new Attachment({ kind: "instance", operation: "open", purpose: "acquire", key: name, size: 0, directory, mode });
    } catch (error) {
      if (!(error instanceof IncompatibleError) || (outcomeFlags() & USED) === 0) throw error;
      this.#incompatible = error;
      return undefined;
    }
  }

  #withdraw(): void {
    this.#attachment?.detach();
    this.#attachment = undefined;
  }

  #holder(): Holder | undefined {
    return findHolder("acquire", this.#request.name, this.#key, this.#directory);
  }

  #refused(holder: Holder | undefined): AlreadyRunningError {
    const { name } = this.#request;
    const { info, pid, incompatible = this.#incompatible } = holder ?? {};
    const since = info?.startedAt === undefined ? "" : `, started ${info.startedAt.toISOString()}`;
    const command = info === undefined || info.args.length === 0 ? "" : `: ${commandOf(info.args)}`;
    const who = pid === undefined ? "another process" : `process ${pid}`;
    return new AlreadyRunningError(`Cannot acquire instance ${JSON.stringify(name)}: ${who} holds it${since}${command}` +
      (incompatible === undefined ? "" : `: ${incompatible.message}`), {
      code: "AlreadyRunning",
      operation: "acquire",
      key: name,
      primary: info,
      pid,
      cause: incompatible,
    });
  }
}

const LONGEST_COMMAND = 200;

/** Arguments in a message: whatever is not plain is quoted, and too much is cut. */
function commandOf(args: readonly string[]): string {
  const text = args.map((arg) => /^[\w@%+=:,./-]+$/.test(arg) ? arg : JSON.stringify(arg)).join(" ");
  return text.length <= LONGEST_COMMAND ? text : `${text.slice(0, LONGEST_COMMAND)}…`;
}
