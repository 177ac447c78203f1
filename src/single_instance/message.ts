/**
 * What a second instance says to the first, what that answers, and how both are written.
 *
 * A message is a head in JSON, behind its length in four bytes, and a payload.
 *
 * @module
 */

import { checkInteger, checkOptions, describe } from "../validate.ts";
import { decodePayload, encodePayload, type Payload } from "./payload.ts";

/** What the handler of a running instance answers; all of it may be left out. */
export interface InstanceReply {
  /** For the sender to exit with: 0 to 255. */
  exitCode?: number;
  /** For the sender to print. */
  stdout?: string;
  /** For the sender to print on standard error. */
  stderr?: string;
  /** Whatever else there is to say. */
  data?: Payload;
}

/** A request as it is sent. */
export interface Request {
  readonly kind: "message" | "arguments";
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly data: Payload | undefined;
}

/** What a handler that threw tells. */
export interface Failure {
  readonly name: string;
  readonly message: string;
}

const LENGTH_SIZE = 4;

function encode(head: object, payload: Uint8Array): Uint8Array {
  const text = new TextEncoder().encode(JSON.stringify(head));
  const bytes = new Uint8Array(LENGTH_SIZE + text.length + payload.length);
  new DataView(bytes.buffer).setUint32(0, text.length, true);
  bytes.set(text, LENGTH_SIZE);
  bytes.set(payload, LENGTH_SIZE + text.length);
  return bytes;
}

/** Throws for what {@linkcode encode} cannot have made. */
function decode(bytes: Uint8Array): { readonly head: Record<string, unknown>; readonly payload: Uint8Array } {
  const end = LENGTH_SIZE + new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getUint32(0, true);
  const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes.subarray(LENGTH_SIZE, end));
  const head: unknown = JSON.parse(text);
  if (head === null || typeof head !== "object" || Array.isArray(head)) throw new SyntaxError("its head is no object");
  return { head: head as Record<string, unknown>, payload: bytes.subarray(end) };
}

/** Bytes of a message around its payload: they do not count. */
export const ENVELOPE: number = encodeRequest({ kind: "message", args: [], cwd: "", env: {}, data: undefined }).length;

/** Encodes a request; its payload is checked here, all else must be as it should. */
export function encodeRequest({ data, ...head }: Request): Uint8Array {
  return encode(head, encodePayload("Data", data));
}

/** Decodes what {@linkcode encodeRequest} made; throws for anything else. */
export function decodeRequest(bytes: Uint8Array): Request {
  const { head: { kind, args, cwd, env }, payload } = decode(bytes);
  const isText = (value: unknown): value is string => typeof value === "string";
  if (
    (kind !== "message" && kind !== "arguments") || !Array.isArray(args) || !args.every(isText) || !isText(cwd) ||
    env === null || typeof env !== "object" || !Object.values(env).every(isText)
  ) throw new SyntaxError("its head is not as it should be");
  return { kind, args: Object.freeze(args), cwd, env: Object.freeze(env as Record<string, string>), data: decodePayload(payload) };
}

const REPLY = ["exitCode", "stdout", "stderr", "data"] as const;

function checkText(name: string, value: unknown): string | undefined {
  if (value !== undefined && typeof value !== "string") throw new TypeError(`${name} must be a string: got ${describe(value)}`);
  return value;
}

/** Checks and encodes what a handler gave. */
export function encodeReply(reply: InstanceReply | void): Uint8Array {
  const { exitCode, stdout, stderr, data } = checkOptions(reply ?? {}, REPLY);
  const head = {
    exitCode: exitCode === undefined ? undefined : checkInteger("ExitCode", exitCode, 0, 255),
    stdout: checkText("Stdout", stdout),
    stderr: checkText("Stderr", stderr),
  };
  return encode(head, encodePayload("Data", data));
}

/** Decodes what {@linkcode encodeReply} made; throws for anything else. */
export function decodeReply(bytes: Uint8Array): InstanceReply {
  const { head: { exitCode, stdout, stderr }, payload } = decode(bytes);
  const data = decodePayload(payload);
  return {
    ...(exitCode !== undefined && { exitCode: checkInteger("ExitCode", exitCode, 0, 255) }),
    ...(stdout !== undefined && { stdout: checkText("Stdout", stdout)! }),
    ...(stderr !== undefined && { stderr: checkText("Stderr", stderr)! }),
    ...(data !== undefined && { data }),
  };
}

/** Encodes what a handler threw, whatever that is. */
export function encodeFailure(error: unknown): Uint8Array {
  return encode(failureOf(error), new Uint8Array(0));
}

function failureOf(error: unknown): Failure {
  try {
    if (!(error instanceof Error)) return { name: "Error", message: String(error) };
    return { name: String(error.name), message: String(error.message) };
  } catch {
    return { name: "Error", message: "what was thrown cannot be turned into text" };
  }
}

/** Decodes what {@linkcode encodeFailure} made; throws for anything else. */
export function decodeFailure(bytes: Uint8Array): Failure {
  const { head: { name, message } } = decode(bytes);
  if (typeof name !== "string" || typeof message !== "string") throw new SyntaxError("its head is not as it should be");
  return { name, message };
}
