/**
 * The life of one attachment: from the library's handle to the zero-copy view and back.
 *
 * No finalizer detaches anything: an attachment lasts until it is detached, or the process ends, even when the variable
 * that held it is gone. At the end of the process everything still attached is left in order, once; what the exit hook
 * misses the library's destructor does, and after a fatal signal the kernel and the next process.
 *
 * @module
 */

import { native, runtime } from "../ffi/load.ts";
import type { Group } from "../ffi/native.ts";
import { Bell } from "./bell.ts";
import { errorOf, withLibrary } from "./errors.ts";
import { type Kind, KIND_NOUNS, KIND_NUMBERS } from "./kind.ts";
import { CREATED, outcome, outcomeError, outcomeFlags, outcomePath, outcomeSize, RECOVERED } from "./outcome.ts";
import { encodeDirectory, encodeKey } from "./validate.ts";
import { emptyViews, viewOf } from "./view.ts";

let segmentFunctions: Group<"segment"> | undefined;
let viewFunctions: Group<"view"> | undefined;

function segments(): Group<"segment"> {
  return segmentFunctions ??= native("segment");
}

function views(): Group<"view"> {
  return viewFunctions ??= native("view");
}

const HOW = { create: 1, attach: 2, open: 3 } as const;
const READ_ONLY = 4;
const PERSISTENT = 8;

/** What to attach to, and how. Values are checked, except for key and directory. */
export interface AttachmentRequest {
  readonly kind: Kind;
  readonly operation: keyof typeof HOW;
  /** What errors call it. Default: as it is called here. */
  readonly purpose?: string;
  readonly key: string;
  /** Bytes; 0 with `attach`: whatever is there. */
  readonly size: number;
  readonly directory: string | undefined;
  readonly mode?: number;
  readonly persistent?: boolean;
  readonly readOnly?: boolean;
  /** Calls the library's function that opens this kind. Default: `qshm_open` with `size`. */
  readonly open?: Opener;
}

/** Opens a segment of a kind that needs more than a size. */
export type Opener = (how: number, mode: number, key: Uint8Array, directory: Uint8Array) => number;

/** All that are attached in this realm; strong, see above. */
const attached = new Set<Attachment>();

function leaveAll(): void {
  for (const attachment of attached) attachment.leave();
}

/** One attachment to a segment. */
export class Attachment implements Disposable {
  readonly kind: Kind;
  readonly key: string;
  readonly path: string;
  readonly created: boolean;
  readonly recovered: boolean;
  readonly readOnly: boolean;
  readonly #size: number;
  #handle: number;
  #view: Uint8Array<ArrayBuffer> | undefined;
  #bell: Bell | undefined;

  /** Throws the error that the library reports. */
  constructor(request: AttachmentRequest) {
    const { kind, operation, purpose = operation, key, size, directory, mode, persistent, readOnly, open } = request;
    const keyBytes = encodeKey(key);
    const directoryBytes = encodeDirectory(directory);
    const { qshm_open } = withLibrary(purpose, key, segments);
    const how = HOW[operation] | (readOnly ? READ_ONLY : 0) | (persistent ? PERSISTENT : 0);
    const handle = open !== undefined ? open(how, mode ?? 0, keyBytes, directoryBytes) : qshm_open(
      KIND_NUMBERS[kind],
      how,
      mode ?? 0,
      size,
      keyBytes,
      keyBytes.length,
      directoryBytes,
      directoryBytes.length,
      outcome,
    );
    if (handle < 0) throw outcomeError(handle, purpose, kind, key);
    this.#handle = handle;
    this.kind = kind;
    this.key = key;
    this.path = outcomePath();
    this.#size = outcomeSize();
    this.created = (outcomeFlags() & CREATED) !== 0;
    this.recovered = (outcomeFlags() & RECOVERED) !== 0;
    this.readOnly = readOnly ?? false;
    if (attached.size === 0) registerExitHook();
    attached.add(this);
  }

  /** Is it attached still? */
  get isAttached(): boolean {
    return this.#handle !== 0;
  }

  /** Bytes of the payload; 0 after detach. */
  get size(): number {
    return this.#handle === 0 ? 0 : this.#size;
  }

  /** The handle, for a call into the library. Throws a TypeError after detach. */
  handle(operation: string): number {
    if (this.#handle === 0) {
      throw new TypeError(`Cannot ${operation} ${this.subject}: it is detached`);
    }
    return this.#handle;
  }

  /** Of what a message speaks. */
  get subject(): string {
    return `${KIND_NOUNS[this.kind]} ${JSON.stringify(this.key)}`;
  }

  /** The error for a negative result. */
  error(result: number, operation: string, why?: string, pid?: number): Error {
    const { key, subject, path } = this;
    return errorOf({ result, operation, key, subject, path, ...(why && { why }), ...(pid && { pid }) });
  }

  /** What wakes those who wait. */
  get bell(): Bell {
    return this.#bell ??= new Bell(() => this.handle("wait for"));
  }

  /** The payload without a copy; there is exactly one buffer an attachment, so that detach can empty every view. */
  get data(): Uint8Array<ArrayBuffer> {
    if (this.#view === undefined && this.#handle !== 0) {
      const address = views().qshm_payload(this.#handle);
      if (address === null) throw this.error(-15, "map");
      this.#view = viewOf(address, this.#size, this.subject, this.key);
    }
    return this.#view ?? new Uint8Array(0);
  }

  /** Ends the attachment; `false` if it had ended. Every view becomes empty. */
  detach(): boolean {
    if (this.#handle === 0) return false;
    this.#end(segments().qshm_detach);
    return true;
  }

  /** Detaches. */
  [Symbol.dispose](): void {
    this.detach();
  }

  /** At the end of the process, or of a Worker: detach, but hardly wait for others. */
  leave(): void {
    if (this.#handle !== 0) this.#end(segments().qshm_leave);
  }

  #end(how: (handle: number) => number): void {
    this.#bell?.close();
    const handle = this.#handle;
    this.#handle = 0;
    attached.delete(this);
    // Where it was viewed the range is inert memory from here on, so that views that escape do no harm.
    if (how(handle) === 1) segments().qshm_unmap(handle, emptyViews(this.#view) ? 0 : 1);
  }
}

let exitHookRegistered = false;

function registerExitHook(): void {
  if (exitHookRegistered) return;
  exitHookRegistered = true;
  runtime().onExit(leaveAll);
}
