/**
 * `qshm status`: who holds a name.
 *
 * @module
 */

import { BusyError, IncompatibleError, type InstanceInfo, NotRunningError, SingleInstance } from "../../mod.ts";
import { type Arguments, type Command, COMMON, COMMON_HELP, placeOf, readArguments } from "./command.ts";
import { EXIT } from "./exit_codes.ts";
import { command, quote, who } from "./text.ts";

/** `qshm status`. */
export const status: Command = {
  summary: "tell who holds NAME",
  help: `Usage: qshm status [OPTION...] NAME

Tells who holds NAME. Changes nothing.

${COMMON_HELP}

With --json: {"name", "held", "pid", "startedAt", "args", "cwd", "data", "dataBase64", "problem"}. What is unknown is
null; "data" is what the holder told as JSON, "dataBase64" what it told as bytes; "problem" says why a holder cannot be
described.

Exit status: 0 it is held; 1 it is free; 64 wrong usage; 77 no permission.`,

  async run({ text }: Arguments): Promise<number> {
    const { values, operands } = readArguments(text, COMMON, ["NAME"]);
    const name = operands[0]!;
    const { held, info, pid, problem } = await look(name, values.directory);
    if (values.json === true) {
      console.log(JSON.stringify({ name, held, pid: pid ?? null, ...fields(info), problem: problem ?? null }));
    } else if (held) {
      console.log(describe(name, info, pid, problem));
    } else {
      console.log(`${JSON.stringify(name)} is free`);
    }
    return held ? EXIT.ok : EXIT.no;
  },
};

interface Found {
  readonly held: boolean;
  readonly info?: InstanceInfo;
  readonly pid?: number | undefined;
  readonly problem?: string;
}

async function look(name: string, directory: string | undefined): Promise<Found> {
  try {
    using running = await SingleInstance.connect(name, placeOf(directory));
    return { held: true, info: running.info, pid: running.info.pid };
  } catch (error) {
    if (error instanceof NotRunningError) return { held: false };
    if (error instanceof BusyError) return { held: true, pid: error.pid, problem: error.message };
    if (error instanceof IncompatibleError) return { held: true, problem: error.message };
    throw error;
  }
}

function fields(info: InstanceInfo | undefined): object {
  const data = info?.data;
  const isBytes = data instanceof Uint8Array;
  return {
    startedAt: info?.startedAt ?? null,
    args: info?.args ?? null,
    cwd: info?.cwd ?? null,
    data: isBytes ? null : data ?? null,
    dataBase64: isBytes ? base64(data) : null,
  };
}

function base64(bytes: Uint8Array): string {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}

function describe(name: string, info: InstanceInfo | undefined, pid: number | undefined, problem: string | undefined): string {
  const lines = [`${JSON.stringify(name)} is held by ${who(info, pid)}`];
  if (command(info) !== "") lines.push(`  command    ${command(info)}`);
  if (info?.cwd) lines.push(`  directory  ${quote(info.cwd)}`);
  if (info?.data instanceof Uint8Array) lines.push(`  data       ${info.data.length} bytes`);
  else if (info?.data !== undefined) lines.push(`  data       ${JSON.stringify(info.data)}`);
  if (problem !== undefined) lines.push(`  problem    ${problem}`);
  return lines.join("\n");
}
