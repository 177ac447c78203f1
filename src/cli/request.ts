/**
 * Asking the holder of a name, and passing on what it replies.
 *
 * @module
 */

import { type InstanceReply, NotRunningError, type PlaceOptions, type RunningInstance, SingleInstance } from "../../mod.ts";
import { write } from "./output.ts";
import { toJson } from "./text.ts";

const STDOUT = 1;
const STDERR = 2;

/** Asks the holder of a name. */
export async function ask(
  name: string,
  place: PlaceOptions,
  request: (running: RunningInstance) => Promise<InstanceReply>,
): Promise<InstanceReply> {
  using running = await find(name, place);
  return await request(running);
}

async function find(name: string, place: PlaceOptions): Promise<RunningInstance> {
  try {
    return await SingleInstance.connect(name, place);
  } catch (error) {
    if (!(error instanceof NotRunningError)) throw error;
    const message = `Cannot send to instance ${toJson(name)}: nobody holds it; the message was not handed over`;
    throw new NotRunningError(message, { code: error.code, operation: "send to", key: name, delivered: error.delivered });
  }
}

/** Prints what a reply has to print; gives the exit status. */
export async function passOn({ stdout, stderr, exitCode = 0 }: InstanceReply): Promise<number> {
  const text = new TextEncoder();
  if (stdout !== undefined) await write(text.encode(stdout), STDOUT);
  if (stderr !== undefined) await write(text.encode(stderr), STDERR);
  return exitCode;
}
