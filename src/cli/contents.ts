/**
 * The bytes of a memory, read without changing anything.
 *
 * @module
 */

import { NotFoundError, type PlaceOptions, type SegmentInfo, SharedMemory } from "../../mod.ts";

/** Bytes read at once: a multiple of 16 for the hex dump, and of 3 for base64. */
const PIECE = 48 << 10;

/** A memory that can be read. */
export class Contents implements Disposable {
  readonly #size: number;
  readonly #read: (offset: number, length: number) => Uint8Array;
  readonly #close: () => void;

  private constructor(size: number, read: (offset: number, length: number) => Uint8Array, close: () => void) {
    this.#size = size;
    this.#read = read;
    this.#close = close;
  }

  /** Opens a memory; `undefined` if there is nothing to read, because it is dead, foreign or corrupt. */
  static async open(info: SegmentInfo, place: PlaceOptions): Promise<Contents | undefined> {
    if (info.state === "live") return Contents.#attach(info, place);
    return info.state === "dead" && info.persistent ? await Contents.#openFile(info) : undefined;
  }

  static #attach(info: SegmentInfo, place: PlaceOptions): Contents | undefined {
    try {
      const memory = SharedMemory.attach(info.key, { ...place, readOnly: true });
      return new Contents(memory.size, (offset, length) => memory.read(offset, length), () => memory.detach());
    } catch (error) {
      if (error instanceof NotFoundError) return undefined; // its last user has ended meanwhile
      throw error;
    }
  }

  /** Attaching to what nobody uses would take from its next user the news that the last one crashed. */
  static async #openFile({ path, size }: SegmentInfo): Promise<Contents> {
    const { closeSync, fstatSync, openSync, readSync } = await import("node:fs");
    const fd = openSync(path, "r");
    const start = fstatSync(fd).size - size; // the payload is the end of the file
    const read = (offset: number, length: number): Uint8Array => {
      const bytes = new Uint8Array(length);
      return bytes.subarray(0, readSync(fd, bytes, 0, length, start + offset));
    };
    return new Contents(size, read, () => closeSync(fd));
  }

  /** Reads a part, which must lie inside. */
  read(offset: number, length: number): Uint8Array {
    return this.#read(offset, length);
  }

  /** Reads all of it, piece by piece. */
  *pieces(): Generator<Uint8Array> {
    for (let at = 0; at < this.#size; at += PIECE) yield this.#read(at, Math.min(PIECE, this.#size - at));
  }

  /** Ends reading. */
  [Symbol.dispose](): void {
    this.#close();
  }
}
