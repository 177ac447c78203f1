/**
 * `qshm send`: a message to the one that holds a name, and its reply.
 *
 * @module
 */

import type { InstanceReply, Json } from "../../mod.ts";
import { type Arguments, checkText, type Command, COMMON, COMMON_HELP, placeOf, readArguments, seconds } from "./command.ts";
import { type EndingSignal, onEnding, statusOf } from "./ending.ts";
import { UsageError } from "./exit_codes.ts";
import { base64 } from "./holder.ts";
import { print, write } from "./output.ts";
import { ask, passOn } from "./request.ts";
import { toJson } from "./text.ts";

const OPTIONS = { ...COMMON, timeout: { type: "string" } } as const;

/** Stands for standard input. */
const INPUT = "-";

/** `qshm send`. */
export const send: Command = {
  summary: "send a message to the one that holds NAME",
  help: `Usage: qshm send [OPTION...] NAME MESSAGE

Sends MESSAGE to the one that holds NAME, waits for the reply, and prints it: what it has for standard output and standard
error, then its data. Data that is text stands there as it is, with a newline if it has none at its end; bytes stand there
byte for byte, all else as JSON. MESSAGE is text; "-" takes all of standard input. It reaches a program that holds the name
with SingleInstance, and serves; a qshm run takes no messages.

  --timeout=S       wait at most S seconds for the reply (default: as long as the holder lives)
${COMMON_HELP}

With --json MESSAGE is JSON, and so is the reply: {"name", "exitCode", "stdout", "stderr", "data", "dataBase64"}. What the
reply does not have is null; "data" is what it has as JSON, "dataBase64" what it has as bytes.

Exit status: the one that is replied, or 0; 1 the other one's handler failed; 64 wrong usage; 65 MESSAGE is larger than the
other one takes; 69 nobody took it, or the one that did died or left: standard error says which; 75 time is up; 77 no
permission; 128 + the number of the signal that ended the wait. SIGINT, SIGTERM and SIGHUP withdraw the message: if it was
not taken, it never will be.`,

  async run(args: Arguments): Promise<number> {
    const { name, message, json, directory, timeout } = await read(args);
    const ending = new AbortController();
    let ended: EndingSignal | undefined;
    await onEnding((signal) => {
      ended ??= signal;
      ending.abort();
    });
    try {
      const reply = await ask(name, placeOf(directory), (running) => running.send(message, { timeout, signal: ending.signal }));
      return await (json ? printJson(name, reply) : printReply(reply));
    } catch (error) {
      if (ended === undefined || error !== ending.signal.reason) throw error;
      return statusOf(ended);
    }
  },
};

interface Message {
  readonly name: string;
  readonly message: Json;
  readonly json: boolean;
  readonly directory: string | undefined;
  readonly timeout: number;
}

async function read({ text, bytes }: Arguments): Promise<Message> {
  const { values: { json = false, directory, timeout }, operands } = readArguments(text, OPTIONS, ["NAME", "MESSAGE"]);
  for (const argument of bytes) checkText("MESSAGE", argument); // and with it NAME: what is changed silently is another one
  const [name, operand] = operands as [string, string];
  const ms = timeout === undefined ? Infinity : seconds("--timeout", timeout);
  const message = operand === INPUT ? checkText("standard input", await readInput()) : operand;
  return { name, message: json ? parse(message) : message, json, directory, timeout: ms };
}

function parse(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch (error) {
    throw new UsageError(`with --json MESSAGE must be JSON: ${(error as Error).message}`);
  }
}

async function readInput(): Promise<Uint8Array> {
  const { default: process } = await import("node:process");
  const parts: Uint8Array[] = [];
  for await (const part of process.stdin) parts.push(part);
  const all = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

async function printReply(reply: InstanceReply): Promise<number> {
  const status = await passOn(reply);
  const { data } = reply;
  if (data instanceof Uint8Array) await write(data);
  else if (typeof data === "string") await (data.endsWith("\n") ? write(new TextEncoder().encode(data)) : print(data));
  else if (data !== undefined) await print(toJson(data));
  return status;
}

async function printJson(name: string, { exitCode, stdout, stderr, data }: InstanceReply): Promise<number> {
  const isBytes = data instanceof Uint8Array;
  await print(toJson({
    name,
    exitCode: exitCode ?? null,
    stdout: stdout ?? null,
    stderr: stderr ?? null,
    data: isBytes ? null : data ?? null,
    dataBase64: isBytes ? base64(data) : null,
  }));
  return exitCode ?? 0;
}
