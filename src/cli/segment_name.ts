/**
 * `[KIND:]KEY`: how a segment is named on the command line.
 *
 * @module
 */

import { inspect, type Kind, NotFoundError, type PlaceOptions, type SegmentInfo } from "../../mod.ts";
import { UsageError } from "./exit_codes.ts";
import { quote } from "./text.ts";

/** The operand's name in usage lines. */
export const SEGMENT_NAME = "[KIND:]KEY";

/** The operand in a help text. */
export const SEGMENT_NAME_HELP =
  `KIND is memory, value, semaphore or instance; without it the only kind of that KEY is meant. A KEY that contains a
colon needs its KIND: memory:a:b.`;

const KINDS: readonly Kind[] = ["memory", "value", "semaphore", "instance"];

/** A segment's name as one would type it in a shell. */
export function nameOf({ kind, key }: { readonly kind: Kind; readonly key: string }): string {
  return quote(`${kind}:${key}`);
}

/** Finds the segment that is named. Its key is whole, also where a listing cuts it. */
export function find(name: string, place: PlaceOptions): SegmentInfo {
  const { kinds, key } = parse(name);
  const found = kinds.map((kind) => inspect(kind, key, place)).filter((info) => info !== undefined)
    .map((info) => ({ ...info, key }));
  if (found.length > 1) throw new UsageError(`several are named ${quote(key)}, say which: ${found.map(nameOf).join(", ")}`);
  if (found.length === 0) throw notFound(kinds.length === 1 ? { kind: kinds[0]!, key } : { key });
  return found[0]!;
}

/** There is no such segment. */
export function notFound({ kind, key }: { readonly kind?: Kind; readonly key: string }): NotFoundError {
  const name = kind === undefined ? quote(key) : nameOf({ kind, key });
  return new NotFoundError(`there is no ${name}; qshm list shows what there is`, { code: "NotFound", operation: "find", key });
}

function parse(name: string): { kinds: readonly Kind[]; key: string } {
  const colon = name.indexOf(":");
  if (colon < 0) return { kinds: KINDS, key: checked(name) };
  const kind = KINDS.find((kind) => kind === name.slice(0, colon));
  if (kind === undefined) {
    throw new UsageError(`a KEY with a colon needs its KIND, such as ${nameOf({ kind: "memory", key: name })}`);
  }
  return { kinds: [kind], key: checked(name.slice(colon + 1)) };
}

function checked(key: string): string {
  if (key === "") throw new UsageError("KEY is empty");
  return key;
}
