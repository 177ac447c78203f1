/**
 * How Qt finds a System V object by a text: a "legacy key", of which the names of two files are made, or a native key, which is
 * a file's path. And Qt 6's written form of both, `systemv:/path?legacyKey=key`.
 *
 * @module
 */

import { errorOf } from "../errors.ts";
import { describe } from "../validate.ts";
import { library, RESOURCES } from "./library.ts";

/** What a key leads to. */
export interface NativeKey {
  /** The legacy key; `""` if there is none. */
  readonly legacy: string;
  /** The file whose number names the segment, or the semaphore. */
  readonly path: string;
  /** The file whose number names the lock of the segment. */
  readonly lockPath: string;
  /** The project in `ftok()`: Qt's `'Q'`, 81. */
  readonly project: number;
}

/** `'Q'` */
const PROJECT = 0x51;

/** A segment and a semaphore of one key have two files. */
export type Purpose = "memory" | "semaphore";

/** No key. */
export const NO_KEY: NativeKey = { legacy: "", path: "", lockPath: "", project: PROJECT };

/** Text as Qt encodes it before hashing: a lone surrogate becomes `?`. */
function encode(key: string): Uint8Array {
  return new TextEncoder().encode(key.replaceAll(/\p{Surrogate}/gu, "?"));
}

/** Letters, of which a file's name cannot have so many. */
const TOO_MANY = 300;

function fileOf(purpose: Purpose, key: string): string {
  const bytes = encode(key);
  const path = new Uint8Array(4096);
  const length = library().qshm_qt_key_file(purpose === "memory" ? 0 : 1, bytes, bytes.length, path, path.length);
  const letters = key.replaceAll(/[^A-Za-z]/g, "");
  if (length === RESOURCES && letters.length > TOO_MANY) return fileOf(purpose, letters.slice(0, TOO_MANY)); // as impossible
  if (length < 0) throw errorOf({ result: length, operation: "name", key, subject: "the key's file" });
  return new TextDecoder().decode(path.subarray(0, length));
}

/** The files of a legacy key, which may have digits, spaces and characters beyond ASCII as well. `""`: none. */
export function legacyKey(purpose: Purpose, key: unknown): NativeKey {
  if (typeof key !== "string") throw new TypeError(`Key must be a string: got ${describe(key)}`);
  if (key === "") return NO_KEY;
  return { legacy: key, path: fileOf(purpose, key), lockPath: fileOf("semaphore", key), project: PROJECT };
}

/** Why a native key is refused. */
export class NativeKeyError extends Error {}

/**
 * A native key: a path, or Qt 6's written form. Throws {@linkcode NativeKeyError} for other types than System V, and for what is
 * not well written.
 */
export function nativeKey(purpose: Purpose, text: unknown): NativeKey {
  if (typeof text !== "string") throw new TypeError(`Native key must be a string: got ${describe(text)}`);
  if (text === "") return NO_KEY;
  const written = /^([^-/:]*)([^/:]*):(.*)$/su.exec(text);
  const [, type, number = "", rest] = written ?? [];
  if (written === null) return checked({ legacy: "", path: text, lockPath: text, project: PROJECT });
  if (type === "posix" || type === "windows") {
    throw new NativeKeyError(`keys of type ${type} are not supported: use setKey(), or a native key "systemv:/path"`);
  }
  const project = number === "" ? PROJECT : /^-\d+$/.test(number) ? Number(number.slice(1)) : NaN;
  if (type !== "systemv" || !(project >= 1 && project <= 255)) throw new NativeKeyError(`not a native key: ${JSON.stringify(text)}`);
  const [path, legacy] = parse(rest!);
  return checked({ legacy, path, lockPath: legacy === "" ? path : fileOf("semaphore", legacy), project });

  function checked(key: NativeKey): NativeKey {
    if (key.path === "" || key.path.includes("\0")) throw new NativeKeyError("a native key must not be empty or contain NUL");
    return purpose === "semaphore" ? { ...key, path: key.lockPath } : key;
  }
}

/** Path and legacy key of what follows the type. */
function parse(text: string): [path: string, legacy: string] {
  const [before] = text.split("#");
  const [path, query] = before!.split("?", 2);
  try {
    const items = query === undefined ? [] : query.split("&").map((item) => item.split("=").map(decodeURIComponent));
    const unknown = items.find(([name]) => name !== "legacyKey");
    if (unknown !== undefined) throw new NativeKeyError(`unknown item ${JSON.stringify(unknown[0])} in a native key`);
    return [decodeURIComponent(path!), items[0]?.[1] ?? ""];
  } catch (error) {
    if (error instanceof URIError) throw new NativeKeyError(`not a native key: ${JSON.stringify(text)}`);
    throw error;
  }
}

/** Qt 6's written form, which its `QNativeIpcKey::fromString()` reads. */
export function writtenForm({ legacy, path, project }: NativeKey): string {
  if (path === "") return "";
  const escape = (text: string, which: RegExp): string =>
    text.replaceAll(which, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`);
  const query = legacy === "" ? "" : `?legacyKey=${escape(legacy, /[%?#&=]/g)}`;
  return `systemv${project === PROJECT ? "" : `-${project}`}:${escape(path, /[%?#]/g).replace(/^\/\//, "/%2F")}${query}`;
}

