/**
 * The bytes of a memory or a value, read without changing anything.
 *
 * @module
 */

import { NotFoundError, type PlaceOptions, type SegmentInfo, SharedMemory } from "../../mod.ts";
import { Watched } from "../command.ts";

/** Bytes read at once: a multiple of 16 for the hex dump, and of 3 for base64. */
const PIECE = 48 << 10;

/** Fields of the control block (c/src/layout.h), and how the buffers of a value follow each other (c/src/value.c). */
const VALUE_CURRENT = 192;
const VALUE_LENGTHS = 232;
const VALUE_FIELDS_END = 264;
const BUFFERS = 4;
const BUFFER_BITS = 3n;
const ALIGNMENT = 64;

/** A memory or a value that can be read. */
export class Contents implements Disposable {
  readonly size: number;
  readonly #read: (offset: number, length: number) => Uint8Array;
  readonly #close: () => void;

  private constructor(size: number, read: (offset: number, length: number) => Uint8Array, close: () => void) {
    this.size = size;
    this.#read = read;
    this.#close = close;
  }

  /** Opens one; `undefined` if there is nothing to read: it is dead, foreign, corrupt, of another kind, or was never set. */
  static async open(info: SegmentInfo, place: PlaceOptions): Promise<Contents | undefined> {
    const isKept = info.state === "dead" && info.persistent;
    if (info.kind === "memory") {
      return info.state === "live" ? Contents.#attach(info, place) : isKept ? await Contents.#openFile(info) : undefined;
    }
    if (info.kind !== "value") return undefined;
    const bytes = info.state === "live" ? readValue(info, place) : isKept ? await readValueFile(info) : undefined;
    return bytes && new Contents(bytes.length, (offset, length) => bytes.subarray(offset, offset + length), () => {});
  }

  static #attach(info: SegmentInfo, place: PlaceOptions): Contents | undefined {
    const memory = whileThere(() => SharedMemory.attach(info.key, { ...place, readOnly: true }));
    return memory && new Contents(memory.size, (offset, length) => memory.read(offset, length), () => memory.detach());
  }

  static async #openFile(info: SegmentInfo): Promise<Contents> {
    const file = await openFile(info);
    return new Contents(info.size, (offset, length) => file.read(file.payload + offset, length), file.close);
  }

  /** Reads a part, which must lie inside. */
  read(offset: number, length: number): Uint8Array {
    return this.#read(offset, length);
  }

  /** Reads all of it, piece by piece. */
  *pieces(): Generator<Uint8Array> {
    for (let at = 0; at < this.size; at += PIECE) yield this.#read(at, Math.min(PIECE, this.size - at));
  }

  /** Ends reading. */
  [Symbol.dispose](): void {
    this.#close();
  }
}

/** `undefined`: its last user has ended meanwhile. */
function whileThere<T>(attach: () => T): T | undefined {
  try {
    return attach();
  } catch (error) {
    if (error instanceof NotFoundError) return undefined;
    throw error;
  }
}

/** A file that is read as it is: attaching to what nobody uses would take the news from its next user that the last crashed. */
interface OpenFile {
  /** Where the payload begins: it is the end of the file. */
  readonly payload: number;
  read(offset: number, length: number): Uint8Array;
  close(): void;
}

async function openFile({ path, size }: SegmentInfo): Promise<OpenFile> {
  const { closeSync, fstatSync, openSync, readSync } = await import("node:fs");
  const fd = openSync(path, "r");
  return {
    payload: fstatSync(fd).size - size,
    read(offset, length) {
      const bytes = new Uint8Array(length);
      return bytes.subarray(0, readSync(fd, bytes, 0, length, offset));
    },
    close: () => closeSync(fd),
  };
}

function readValue({ key }: SegmentInfo, place: PlaceOptions): Uint8Array | undefined {
  using value = whileThere(() => new Watched("value", key, place));
  const { revision = 0, bytes } = value?.value(Infinity) ?? {};
  return revision === 0 ? undefined : bytes;
}

async function readValueFile(info: SegmentInfo): Promise<Uint8Array | undefined> {
  const file = await openFile(info);
  try {
    const fields = new DataView(file.read(VALUE_CURRENT, VALUE_FIELDS_END - VALUE_CURRENT).buffer);
    const current = fields.getBigUint64(0, true);
    if (current >> BUFFER_BITS === 0n) return undefined;
    const index = Number(current) % BUFFERS;
    const length = Number(fields.getBigUint64(VALUE_LENGTHS - VALUE_CURRENT + 8 * index, true));
    const room = Math.floor(info.size / BUFFERS / ALIGNMENT) * ALIGNMENT;
    return file.read(file.payload + index * room, Math.min(length, room));
  } finally {
    file.close();
  }
}
