/**
 * Sending messages to whoever holds a guard, and waiting for the replies.
 *
 * @module
 */

import { native } from "../../ffi/load.ts";
import type { Group } from "../../ffi/native.ts";
import { Attachment } from "../attachment.ts";
import { Changes } from "../change.ts";
import {
  IncompatibleError,
  MessageTooLargeError,
  NotFoundError,
  NotRunningError,
  RequestFailedError,
  timeoutError,
  withLibrary,
} from "../errors.ts";
import { outcome, outcomeError, outcomeFlags, outcomeSize } from "../outcome.ts";
import { encodeDirectory, encodeKey } from "../validate.ts";
import type { Wait } from "../wait.ts";
import { findHolder, guards } from "./info.ts";
import { decodeFailure, decodeReply, ENVELOPE, type Failure, type InstanceReply } from "./message.ts";

/** Bits of `enum qshm_outcome_flag`: why a message was not accepted. */
const LEAVING = 128;
const FULL = 256;
const TOO_LARGE = -20;
const NOT_ANSWERED = -2;

/** `enum qshm_sent`. */
const SENT = { waiting: 0, taken: 1, answered: 2, failed: 3, refused: 4, lost: 5, withdrawn: 6 } as const;

/** ms between two looks for a full table to have room, and at whether the holder lives; the longer one waits, the fewer. */
const FIRST_LOOK = 10;
const LAST_LOOK = 500;

/** Was a message handed over? */
export type Delivered = "no" | "unknown";

let functions: Group<"message"> | undefined;

/** The entry points for messages. */
export function messages(): Group<"message"> {
  return functions ??= native("message");
}

interface Answer {
  readonly failed: boolean;
  readonly bytes: Uint8Array;
}

/** What is told of a handler whose answer could not be stored. */
const NOT_STORED: Failure = { name: "OutOfResourcesError", message: "the reply could not be stored" };

/** Was it aborted with this? The reason is the caller's own, and may look like any error of ours. */
function isReasonOf(signal: AbortSignal | undefined, error: unknown): boolean {
  return signal?.aborted === true && signal.reason === error;
}

/** One process's connection to the holder of a guard, whoever that is. */
export class Connection implements Disposable {
  readonly #name: string;
  readonly #directory: string | undefined;
  readonly #lines = new Set<Line>();
  #isClosed = false;

  constructor(name: string, directory: string | undefined) {
    this.#name = name;
    this.#directory = directory;
  }

  /**
   * Sends a request, and waits for its reply.
   *
   * @param blocking For how many ms to wait by blocking, before a bell is opened.
   * @throws {NotRunningError} It was refused, or nobody is there; `delivered` tells whether it was handed over.
   * @throws {RequestFailedError} The handler threw.
   * @throws {MessageTooLargeError} The holder takes no messages of this size.
   */
  async request(body: Uint8Array, wait: Wait, blocking = 0): Promise<InstanceReply> {
    wait.signal?.throwIfAborted();
    if (this.#isClosed) throw new TypeError(`Cannot send to ${subject(this.#name)}: the connection is closed`);
    const began = performance.now();
    const left = (): Wait => ({ ...wait, timeout: Math.max(began + wait.timeout - performance.now(), 0) });
    const often = (): number => Math.min(Math.max((performance.now() - began) / 10, FIRST_LOOK), LAST_LOOK);
    const line = this.#line();
    line.pending++;
    try {
      const number = await line.submit(body, left(), often)
        .catch((error: unknown) => Promise.reject(this.#gaveUp(error, wait, "no")));
      const answer = await line.answer(number, left(), often, blocking)
        .catch((error: unknown) => this.#giveUp(line, number, error, wait));
      return this.#decode(answer);
    } finally {
      if (--line.pending === 0 && this.#lines.size > 1 && line.isLost) this.#hangUp(line);
    }
  }

  /** Ends it; those who wait are rejected. */
  close(): void {
    this.#isClosed = true;
    for (const line of this.#lines) this.#hangUp(line);
  }

  /** Ends it. */
  [Symbol.dispose](): void {
    this.close();
  }

  #hangUp(line: Line): void {
    this.#lines.delete(line);
    line.close();
  }

  /** To the file that bears the name now: those that we know may have been removed by a holder that left. */
  #line(): Line {
    for (const line of this.#lines) {
      if (!line.isLost) return line;
      if (line.pending === 0) this.#hangUp(line);
    }
    const line = new Line(this.#name, this.#directory);
    this.#lines.add(line);
    return line;
  }

  #decode({ failed, bytes }: Answer): InstanceReply {
    let failure: Failure;
    try {
      if (!failed) return decodeReply(bytes);
      failure = bytes.length > 0 ? decodeFailure(bytes) : NOT_STORED;
    } catch (error) {
      throw new IncompatibleError(`Cannot read the reply of ${subject(this.#name)}: ${(error as Error).message}`, {
        code: "Incompatible",
        operation: "send to",
        key: this.#name,
        cause: error,
      });
    }
    const { name, message } = failure;
    throw new RequestFailedError(`Cannot send to ${subject(this.#name)}: its handler failed: ${name}: ${message}`, {
      code: "RequestFailed",
      operation: "send to",
      key: this.#name,
      handlerName: name,
      handlerMessage: message,
    });
  }

  /** The wait was given up, or failed. What came first after all is what is told. */
  #giveUp(line: Line, number: number, error: unknown, wait: Wait): Answer {
    const isOver = !isReasonOf(wait.signal, error) &&
      (error instanceof NotRunningError || error instanceof IncompatibleError);
    if (isOver || !line.isOpen) throw error; // closed: detaching has given it up
    const gone = line.withdraw(number);
    if (typeof gone !== "string") return gone;
    throw this.#gaveUp(error, wait, gone);
  }

  /** A time-out says what became of the message; an abort's reason is the caller's own. */
  #gaveUp(error: unknown, { timeout, signal }: Wait, delivered: Delivered): unknown {
    if (isReasonOf(signal, error)) return error;
    if (!(error instanceof DOMException && error.name === "TimeoutError")) return error;
    const what = delivered === "no" ? "not accepted" : "accepted, and not answered";
    const pid = this.#holder();
    const by = pid === undefined ? "" : ` by process ${pid}`;
    const told = `the reply of ${subject(this.#name)}: the message was ${what}${by}`;
    return Object.assign(timeoutError(told, timeout), { delivered });
  }

  /** The holder's pid, for a message. */
  #holder(): number | undefined {
    try {
      return findHolder("send to", this.#name, encodeKey(this.#name), encodeDirectory(this.#directory))?.pid;
    } catch {
      return undefined; // a message must not fail for want of it
    }
  }
}

/** One attachment to the guard's file, and the messages that went that way. */
class Line {
  /** How many requests use it. */
  pending = 0;
  readonly #name: string;
  readonly #attachment: Attachment;
  readonly #changes: Changes;

  constructor(name: string, directory: string | undefined) {
    this.#name = name;
    try {
      const request = { kind: "instance", operation: "attach", purpose: "send to", key: name, size: 0, directory } as const;
      this.#attachment = new Attachment(request);
    } catch (error) {
      throw error instanceof NotFoundError ? notRunning(name, "nobody holds it", "no") : error;
    }
    this.#changes = new Changes(this.#attachment);
  }

  get isOpen(): boolean {
    return this.#attachment.isAttached;
  }

  /** Does another file bear the name now, or none? */
  get isLost(): boolean {
    return this.isOpen && guards().qshm_is_lost(this.#attachment.handle("send to")) === 1;
  }

  /** Waits for a place; gives the message's number. */
  async submit(body: Uint8Array, wait: Wait, often: () => number): Promise<number> {
    const { qshm_send } = withLibrary("send to", this.#name, messages);
    const submit = (): number | undefined => {
      const number = qshm_send(this.#attachment.handle("send to"), body, body.length, outcome);
      if (number > 0) return number;
      if (number === TOO_LARGE) throw tooLarge(this.#name, body.length);
      if (number < 0) throw outcomeError(number, "send to", "instance", this.#name);
      if ((outcomeFlags() & FULL) !== 0) return undefined;
      const isLeaving = (outcomeFlags() & LEAVING) !== 0;
      throw notRunning(this.#name, isLeaving ? "its holder takes no more messages" : "nobody holds it", "no");
    };
    return await this.#changes.wait(submit, wait, often);
  }

  /** Waits for the answer to a message. */
  async answer(number: number, wait: Wait, often: () => number, blocking: number): Promise<Answer> {
    if (blocking > 0) {
      const handle = this.#attachment.handle("send to");
      const answer = this.#became(number, messages().qshm_await_reply(handle, number, Math.min(blocking, wait.timeout)));
      if (answer !== undefined) return answer;
    }
    const look = (): Answer | undefined => {
      return this.#became(number, messages().qshm_sent(this.#attachment.handle("send to"), number));
    };
    return await this.#changes.wait(look, wait, often);
  }

  /** Gives a message up: was it handed over? Or the answer, if that came first. */
  withdraw(number: number): Answer | Delivered {
    const state = messages().qshm_withdraw_message(this.#attachment.handle("send to"), number);
    if (state === SENT.answered || state === SENT.failed) return this.#became(number, state)!;
    return state === SENT.withdrawn || state === SENT.refused ? "no" : "unknown";
  }

  close(): void {
    this.#changes.close();
    this.#attachment.detach();
  }

  #became(number: number, state: number): Answer | undefined {
    switch (state) {
      case SENT.waiting:
      case SENT.taken:
        return undefined;
      case SENT.answered:
      case SENT.failed:
        return { failed: state === SENT.failed, bytes: this.#read(number) };
      case SENT.refused:
        throw notRunning(this.#name, "its holder is leaving", "no");
      case SENT.withdrawn:
        throw notRunning(this.#name, "its holder died", "no");
      case SENT.lost:
        throw notRunning(this.#name, "its holder died or left while it handled the message", "unknown");
      default:
        throw this.#attachment.error(state, "send to");
    }
  }

  #read(number: number): Uint8Array {
    const handle = this.#attachment.handle("send to");
    let bytes = new Uint8Array(4096);
    for (;;) {
      const result = messages().qshm_reply(handle, number, bytes, bytes.length, outcome);
      if (result === NOT_ANSWERED) { // it was, a moment ago
        messages().qshm_withdraw_message(handle, number);
        throw notRunning(this.#name, "somebody wrote over its answer", "unknown");
      }
      if (result < 0) throw outcomeError(result, "read the reply of", "instance", this.#name);
      if (result === 1) return bytes.subarray(0, outcomeSize());
      bytes = new Uint8Array(outcomeSize());
    }
  }
}

function subject(name: string): string {
  return `instance ${JSON.stringify(name)}`;
}

function notRunning(name: string, why: string, delivered: Delivered): NotRunningError {
  const told = delivered === "no" ? "the message was not handed over" : "whether it was handled cannot be known";
  return new NotRunningError(`Cannot send to ${subject(name)}: ${why}; ${told}`, {
    code: "NotRunning",
    operation: "send to",
    key: name,
    delivered,
  });
}

function tooLarge(name: string, size: number): MessageTooLargeError {
  return new MessageTooLargeError(
    `Cannot send to ${subject(name)}: the message takes ${size - ENVELOPE} bytes, ` +
      `it takes at most ${outcomeSize() - ENVELOPE} (its \`maxMessageSize\`); ` +
      "put it into a SharedMemory or a file, and send its name",
    { code: "MessageTooLarge", operation: "send to", key: name },
  );
}
