/**
 * How values become bytes.
 *
 * @module
 */

import { checkBytes } from "./validate.ts";

/**
 * How a value becomes bytes, and bytes a value. Programs that share a value use a codec of one name.
 *
 * @example A codec of one's own
 * ```ts
 * import { type Codec, SharedValue } from "qshm";
 *
 * const date: Codec<Date> = {
 *   name: "date",
 *   encode: (value) => new Uint8Array(Float64Array.of(value.getTime()).buffer),
 *   decode: (bytes) => new Date(new DataView(bytes.buffer, bytes.byteOffset).getFloat64(0, true)),
 * };
 * using started = SharedValue.open("codec-example", { codec: date });
 * started.set(new Date(0));
 * console.assert(started.get()?.getTime() === 0);
 * ```
 */
export interface Codec<T> {
  /** 1 to 63 printable ASCII characters. It stands in the segment: another program's codec must have the same. */
  readonly name: string;
  /** Makes bytes of a value. */
  encode(value: T): Uint8Array;
  /** Makes a value of bytes, which are its own to keep. */
  decode(bytes: Uint8Array): T;
}

const encoder = new TextEncoder();
/** A byte order mark is a character like any other. */
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Whatever JSON can say. The default. */
export const json: Codec<unknown> = {
  name: "json",
  encode(value: unknown): Uint8Array {
    const text = JSON.stringify(value) as string | undefined;
    if (text === undefined) throw new TypeError(`Value must be one that JSON can say: got ${typeof value}`);
    return encoder.encode(text);
  },
  decode(bytes: Uint8Array): unknown {
    return JSON.parse(decoder.decode(bytes));
  },
};

/** Bytes as they are. */
export const bytes: Codec<Uint8Array> = {
  name: "bytes",
  encode(value: Uint8Array): Uint8Array {
    checkBytes("Value", value);
    return value;
  },
  decode(bytes: Uint8Array): Uint8Array {
    return bytes;
  },
};

/** Text. Lone surrogates become U+FFFD. */
export const utf8: Codec<string> = {
  name: "utf8",
  encode(value: string): Uint8Array {
    if (typeof value !== "string") throw new TypeError(`Value must be a string: got ${typeof value}`);
    return encoder.encode(value);
  },
  decode(bytes: Uint8Array): string {
    return decoder.decode(bytes);
  },
};
