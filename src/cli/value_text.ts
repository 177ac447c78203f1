/**
 * What the bytes of a value mean, as far as the command knows their codec.
 *
 * @module
 */

import { toJson } from "./text.ts";

/** Larger values are not decoded. */
export const LARGEST_VALUE = 1 << 20;

/** A value, and as JSON in one line. */
export interface Decoded {
  readonly data: unknown;
  readonly text: string;
}

/** Decodes what the codecs `json` and `utf8` made. `undefined`: it is another's, or is not what it says. */
export function decode(codec: string, bytes: Uint8Array): Decoded | undefined {
  if (codec !== "json" && codec !== "utf8") return undefined;
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    const data: unknown = codec === "json" ? JSON.parse(text) : text;
    return { data, text: toJson(data) };
  } catch {
    return undefined; // somebody else wrote it, or it is nested too deeply
  }
}
