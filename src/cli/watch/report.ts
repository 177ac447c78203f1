/**
 * A change that was seen, for people and for programs.
 *
 * @module
 */

import type { Bytes, Stand, Watchable } from "../../command.ts";
import { base64 } from "../holder.ts";
import { cut, size, time, toJson } from "../text.ts";
import { decode } from "../value_text.ts";

/** A change that was seen. */
export interface Change {
  readonly at: Date;
  readonly kind: Watchable;
  readonly key: string;
  readonly stand: Stand;
  /** Of a value: what it is now, and the name of its codec. */
  readonly value?: Bytes & { readonly codec: string };
  /** Of a semaphore: permits that it may have. */
  readonly max?: number;
}

/** Longer lines are cut. */
const LONGEST_TEXT = 200;

/** The keys in JSON, for the help text. */
export const CHANGE_HELP = `{"time", "kind", "key", "revision"}; for values also "size", "codec", "data" (what the codecs json and
utf8 say, else null) and "dataBase64" (the bytes of other codecs, else null; both are null over 1 MiB); for semaphores also
"available" and "max".`;

/** A line for people. */
export function changeLine({ at, stand, value }: Change): string {
  const moment = `${time(at)}.${String(at.getMilliseconds()).padStart(3, "0")}`;
  const what = stand.available !== undefined ? `${stand.available} free` : value === undefined ? "" : valueText(value);
  return `${moment}  ${stand.revision}  ${what}`.trimEnd();
}

function valueText({ size: length, bytes, codec }: Bytes & { readonly codec: string }): string {
  const decoded = bytes === undefined ? undefined : decode(codec, bytes);
  return decoded === undefined ? size(length) : cut(decoded.text, LONGEST_TEXT);
}

/** A line for programs. */
export function changeJson({ at, kind, key, stand: { revision, available }, value, max }: Change): string {
  return toJson({
    time: at,
    kind,
    key,
    revision,
    ...(value === undefined ? {} : valueFields(value)),
    ...(available === undefined ? {} : { available, max }),
  });
}

function valueFields({ size: length, codec, bytes }: Bytes & { readonly codec: string }): object {
  const decoded = bytes === undefined ? undefined : decode(codec, bytes);
  return {
    size: length,
    codec,
    data: decoded?.data ?? null,
    dataBase64: bytes === undefined || decoded !== undefined ? null : base64(bytes),
  };
}
