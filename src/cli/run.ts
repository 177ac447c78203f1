/**
 * `qshm run`: a command, one at a time.
 *
 * @module
 */

import { parseArgs, type ParsedArgs } from "node:util";
import { AlreadyRunningError, SingleInstance } from "../../mod.ts";
import { exitAtOnce, RunError, runCommand } from "../command.ts";
import { type Arguments, asUsage, checkName, type Command, COMMON, placeOf, printHelp, seconds } from "./command.ts";
import { EXIT, UsageError } from "./exit_codes.ts";
import { command as commandOf, toJson, who } from "./text.ts";

const OPTIONS = {
  ...COMMON,
  wait: { type: "boolean" },
  timeout: { type: "string" },
  "busy-exit": { type: "string" },
  help: { type: "boolean" },
} as const;

type Values = ParsedArgs<typeof OPTIONS>["values"];

const ENOENT = 2;

/** `qshm run`. */
export const run: Command = {
  summary: "run COMMAND, unless one of that NAME runs already",
  help: `Usage: qshm run [OPTION...] NAME [--] COMMAND [ARG...]

Runs COMMAND while holding the name: of several starts exactly one runs. The name is free again when COMMAND ends,
however it ends. If this wrapper is killed, the name stays held until COMMAND, and every child that COMMAND leaves
behind, has ended.

  --wait            wait until the name is free
  --timeout=S       wait at most S seconds
  --busy-exit=N     exit with N instead of 75 when the name is held
  --json            the report of who holds the name as JSON, on standard error
  --directory=PATH  where the name is held (default: QSHM_DIRECTORY, else /dev/shm/qshm-<uid>)
  --help            this text

Exit status: that of COMMAND, or 128 + the number of the signal that ended it; 75 the name is held by another; 126
COMMAND cannot be run; 127 COMMAND is not found; 64 wrong usage; 70 internal error; 77 no permission.
Signals are passed on to COMMAND. Its arguments reach it byte for byte.`,

  async run(args: Arguments): Promise<number> {
    const { values, name, command } = read(args);
    if (values.help === true) return await printHelp(run);
    const wait = values.wait === true || values.timeout !== undefined;
    const timeout = values.timeout === undefined ? Infinity : seconds("--timeout", values.timeout);
    const busyExit = values["busy-exit"] === undefined ? EXIT.busy : exitCode(values["busy-exit"]);
    const text = command.map((arg) => new TextDecoder().decode(arg));
    try {
      const guard = await SingleInstance.acquire(name, {
        ...placeOf(values.directory),
        args: text,
        timeout: wait ? timeout : 0,
      });
      const status = runCommand(guard, command);
      guard.release();
      exitAtOnce(status);
      return status;
    } catch (error) {
      if (error instanceof AlreadyRunningError) {
        console.error(values.json === true ? JSON.stringify(report(name, error)) : `qshm: ${busyLine(name, error)}`);
        return busyExit;
      }
      if (!(error instanceof RunError)) throw error;
      console.error(`qshm: ${text[0]}: ${error.errno === ENOENT ? "command not found" : error.message}`);
      return error.errno === ENOENT ? EXIT.notFound : EXIT.notRunnable;
    }
  },
};

/** Options stand before NAME: behind it everything is COMMAND's. */
function read({ text, bytes }: Arguments): { values: Values; name: string; command: readonly Uint8Array[] } {
  const { tokens } = parseArgs({ args: [...text], options: OPTIONS, allowPositionals: true, strict: false, tokens: true });
  const nameAt = tokens.find(({ kind }) => kind === "positional")?.index;
  const values = options(text.slice(0, nameAt));
  if (values.help === true) return { values, name: "", command: [] };
  if (nameAt === undefined) throw new UsageError("NAME is missing");
  const commandAt = nameAt + (text[nameAt + 1] === "--" ? 2 : 1);
  if (commandAt >= text.length) throw new UsageError("COMMAND is missing");
  return { values, name: checkName(bytes[nameAt]!), command: bytes.slice(commandAt) };
}

function options(args: readonly string[]): Values {
  return asUsage(() => parseArgs({ args: [...args], options: OPTIONS }).values);
}

function exitCode(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > 255) throw new UsageError(`--busy-exit must be 0 to 255: got ${toJson(text)}`);
  return value;
}

function busyLine(name: string, { primary, pid }: AlreadyRunningError): string {
  const command = commandOf(primary);
  return `${toJson(name)} is held by ${who(primary, pid)}${command === "" ? "" : `: ${command}`}`;
}

function report(name: string, { primary, pid }: AlreadyRunningError): object {
  return { name, held: true, pid: pid ?? null, startedAt: primary?.startedAt ?? null, args: primary?.args ?? null };
}
