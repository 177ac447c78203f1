/**
 * Taking messages from other instances, and answering them.
 *
 * @module
 */

import { native } from "../../ffi/load.ts";
import type { Group } from "../../ffi/native.ts";
import type { Attachment } from "../attachment.ts";
import type { Changes } from "../change.ts";
import { MessageTooLargeError } from "../errors.ts";
import { outcome } from "../outcome.ts";
import { PROCESS_SIZE, type ProcessInfo, readProcess } from "../process_info.ts";
import { decodeRequest, encodeFailure, ENVELOPE, encodeReply, type InstanceReply, type Request } from "./message.ts";
import type { Payload } from "./payload.ts";

/** What another instance asks for. */
export interface InstanceRequest {
  /** `"message"` from `send`, `"arguments"` from `forward`. */
  readonly kind: "message" | "arguments";
  /** What was sent; `undefined` with `"arguments"`. */
  readonly data: Payload | undefined;
  /** The sender's arguments; empty with `"message"`. */
  readonly args: readonly string[];
  /** The sender's working directory; `""` if that has no name any more. */
  readonly cwd: string;
  /** The environment variables that the sender was told to send. */
  readonly env: Readonly<Record<string, string>>;
  /** The sender; to be read while the guard is held. */
  readonly from: ProcessInfo;
  /** Aborts when the sender has died or given up, or the guard is released: nobody waits for the reply. */
  readonly signal: AbortSignal;
}

/** Answers a request. What it throws, the sender gets as a `RequestFailedError`. */
export type RequestHandler = (request: InstanceRequest) => InstanceReply | void | Promise<InstanceReply | void>;

/** How many handlers run at once, at most; other requests wait. */
export const MOST_HANDLERS = 16;
/** ms between two looks at whether senders are still there. */
const LOOK_INTERVAL = 100;

/** `struct qshm_request` */
const REQUEST = { number: 0, sender: 4, pid: 8, size: 16, end: 32 };
const TAKEN = 1;
const TOO_SMALL = 2;

let functions: Group<"serving"> | undefined;

/** The holder's entry points for messages. */
export function serverFunctions(): Group<"serving"> {
  return functions ??= native("serving");
}

interface Taken {
  readonly number: number;
  readonly sender: number;
  readonly pid: number;
  readonly bytes: Uint8Array;
  readonly controller: AbortController;
}

/** Answers the messages to one guard, while it is held. */
export class Server {
  readonly #attachment: Attachment;
  readonly #changes: Changes;
  readonly #largest: number;
  readonly #handler: RequestHandler;
  readonly #ref: boolean;
  readonly #running = new Map<number, AbortController>();
  readonly #end = new AbortController();
  #drained: PromiseWithResolvers<void> | undefined;

  constructor(attachment: Attachment, changes: Changes, largest: number, handler: RequestHandler, ref: boolean) {
    this.#attachment = attachment;
    this.#changes = changes;
    this.#largest = largest;
    this.#handler = handler;
    this.#ref = ref;
    void this.#serve();
  }

  /** Waits for the handlers that run, and looks after them; nothing may come any more. */
  drain(): Promise<void> {
    this.#drained ??= Promise.withResolvers();
    if (this.#running.size === 0) this.#drained.resolve();
    return this.#drained.promise;
  }

  /** Takes no more. Handlers that run learn that nobody waits for them. */
  stop(): void {
    this.#end.abort();
    const reason = new DOMException(`Released ${this.#attachment.subject}: nobody waits for the reply`, "AbortError");
    for (const controller of this.#running.values()) controller.abort(reason);
    this.#drained?.resolve();
  }

  async #serve(): Promise<void> {
    const wait = { timeout: Infinity, signal: this.#end.signal, ref: this.#ref };
    const often = (): number => this.#running.size > 0 ? LOOK_INTERVAL : Infinity;
    try {
      for (;;) void this.#answer(await this.#changes.wait(() => this.#next(), wait, often));
    } catch (error) {
      if (!this.#end.signal.aborted) throw error; // else it was released, or drains: what still comes, the library refuses
    }
  }

  /** Looks after those who are being served, and takes the next. */
  #next(): Taken | undefined {
    const handle = this.#attachment.handle("serve");
    for (const [number, controller] of this.#running) {
      if (controller.signal.aborted || serverFunctions().qshm_is_awaited(handle, number) === 1) continue;
      controller.abort(new DOMException("The sender has died or given up", "AbortError"));
    }
    return this.#running.size < MOST_HANDLERS ? this.#take(handle) : undefined;
  }

  #take(handle: number): Taken | undefined {
    const header = new Uint8Array(REQUEST.end);
    const fields = new DataView(header.buffer);
    let bytes = new Uint8Array(4096);
    for (;;) {
      const result = serverFunctions().qshm_take(handle, bytes, bytes.length, header);
      const size = fields.getFloat64(REQUEST.size, true);
      if (result === TAKEN) {
        const number = fields.getUint32(REQUEST.number, true);
        const controller = new AbortController();
        this.#running.set(number, controller); // at once: whoever drains waits for it
        return {
          number,
          controller,
          sender: fields.getUint32(REQUEST.sender, true),
          pid: fields.getUint32(REQUEST.pid, true),
          bytes: bytes.subarray(0, size),
        };
      }
      if (result !== TOO_SMALL) return undefined;
      bytes = new Uint8Array(size);
    }
  }

  async #answer({ number, sender, pid, bytes, controller }: Taken): Promise<void> {
    let failed = false;
    let reply: Uint8Array;
    try {
      controller.signal.throwIfAborted(); // released, or given up, before it began
      const request = this.#request(decodeRequest(bytes), sender, pid, controller.signal);
      reply = encodeReply(await this.#handler(request));
      if (reply.length > this.#largest) throw this.#tooLarge(reply.length);
    } catch (error) {
      failed = true;
      reply = this.#failure(error);
    }
    if (this.#running.get(number) !== controller) return; // somebody scribbled, and it was taken again
    this.#running.delete(number);
    if (this.#attachment.isAttached) {
      // Whatever comes of it: the sender is told, or has gone.
      serverFunctions().qshm_answer(this.#attachment.handle("serve"), number, failed ? 1 : 0, reply, reply.length, outcome);
    }
    if (this.#running.size === 0) this.#drained?.resolve();
  }

  #request(request: Request, sender: number, pid: number, signal: AbortSignal): InstanceRequest {
    const attachment = this.#attachment;
    let from: ProcessInfo | undefined;
    return {
      ...request,
      signal,
      /** Asked for when it is wanted: to prove a pid takes a look at that process's descriptors. */
      get from(): ProcessInfo {
        if (from === undefined) {
          const process = new Uint8Array(PROCESS_SIZE);
          serverFunctions().qshm_requester(attachment.handle("look at the sender of"), sender, pid, process);
          from = readProcess(process);
        }
        return from;
      },
    };
  }

  #failure(error: unknown): Uint8Array {
    const bytes = encodeFailure(error);
    return bytes.length <= this.#largest ? bytes : encodeFailure(this.#tooLarge(bytes.length));
  }

  #tooLarge(size: number): MessageTooLargeError {
    return new MessageTooLargeError(
      `Cannot reply to a request of ${this.#attachment.subject}: the reply takes ${size - ENVELOPE} bytes, at most ${this.#largest - ENVELOPE} ` +
        "fit; put it into a SharedMemory or a file, and reply with its name",
      { code: "MessageTooLarge", operation: "reply", key: this.#attachment.key },
    );
  }
}
