/**
 * What programs hand each other: JSON or bytes.
 *
 * @module
 */

import { describe, isBytes } from "../validate.ts";

/** Whatever JSON can say. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** Whatever programs can hand each other. */
export type Payload = Json | Uint8Array;

/** The first byte of an encoded payload says what follows. */
const NOTHING = 0;
const JSON_TEXT = 1;
const BYTES = 2;

/**
 * Checks and encodes a payload, which may be absent.
 *
 * @param name What messages call it.
 * @param payload The payload.
 * @returns One byte that says what follows, and the payload.
 */
export function encodePayload(name: string, payload: unknown): Uint8Array {
  if (payload === undefined) return Uint8Array.of(NOTHING);
  if (isBytes(payload)) return tagged(BYTES, payload);
  checkJson(name, payload, new Set());
  return tagged(JSON_TEXT, new TextEncoder().encode(JSON.stringify(payload)));
}

/** Decodes what {@linkcode encodePayload} made; throws a `SyntaxError` for anything else. */
export function decodePayload(bytes: Uint8Array): Payload | undefined {
  switch (bytes[0]) {
    case NOTHING:
      return undefined;
    case JSON_TEXT:
      return JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes.subarray(1))) as Json;
    case BYTES:
      return bytes.slice(1);
    default:
      throw new SyntaxError(`a payload cannot begin with ${bytes[0]}`);
  }
}

function tagged(tag: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(payload.length + 1);
  bytes[0] = tag;
  bytes.set(payload, 1);
  return bytes;
}

/** Throws a TypeError that names the place in the value; JSON.stringify would drop or change such things silently. */
function checkJson(path: string, value: unknown, ancestors: Set<object>): void {
  if (value === null || typeof value === "string" || typeof value === "boolean" || Number.isFinite(value)) return;
  if (typeof value !== "object") {
    throw new TypeError(`${path} must be JSON or a Uint8Array: got ${typeof value === "number" ? value : describe(value)}`);
  }
  if (ancestors.has(value)) throw new TypeError(`${path} must be JSON or a Uint8Array: it contains itself`);
  ancestors.add(value);
  if (Array.isArray(value)) {
    if ("toJSON" in value) throw new TypeError(`${path}.toJSON must not be there: it would change what is sent`);
    for (let i = 0; i < value.length; i++) checkJson(`${path}[${i}]`, value[i], ancestors);
  } else {
    checkPlain(path, value);
    const [symbol] = Object.getOwnPropertySymbols(value);
    if (symbol !== undefined) throw new TypeError(`${path}[${String(symbol)}] must not be there: JSON has no symbols`);
    for (const [key, member] of Object.entries(value)) checkJson(memberPath(path, key), member, ancestors);
  }
  ancestors.delete(value);
}

function checkPlain(path: string, value: object): void {
  const prototype: object | null = Object.getPrototypeOf(value);
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null) {
    throw new TypeError(`${path} must be JSON or a Uint8Array: got an object of class ${prototype.constructor?.name}`);
  }
}

function memberPath(path: string, key: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(key) ? `${path}.${key}` : `${path}[${JSON.stringify(key)}]`;
}
