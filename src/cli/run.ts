/**
 * `qshm run`: a command, one at a time.
 *
 * @module
 */

import { parseArgs, type ParsedArgs } from "node:util";
import {
  type AcquireOptions,
  AlreadyRunningError,
  type InstanceReply,
  NotFoundError,
  SingleInstance,
} from "../../mod.ts";
import { exitAtOnce, RunError, runCommand } from "../command.ts";
import {
  type Arguments,
  asUsage,
  checkName,
  checkText,
  type Command,
  COMMON,
  placeOf,
  printHelp,
  seconds,
} from "./command.ts";
import { EXIT, UsageError } from "./exit_codes.ts";
import { holdOrForward } from "./forward.ts";
import { passOn } from "./request.ts";
import { command as commandOf, toJson, who } from "./text.ts";

const OPTIONS = {
  ...COMMON,
  wait: { type: "boolean" },
  timeout: { type: "string" },
  replace: { type: "boolean" },
  grace: { type: "string" },
  kill: { type: "boolean" },
  forward: { type: "boolean" },
  "busy-exit": { type: "string" },
  help: { type: "boolean" },
} as const;

type Values = ParsedArgs<typeof OPTIONS>["values"];

const ENOENT = 2;
/** ms that a holder has to leave when it was asked. */
const USUAL_GRACE = 5000;

/** `qshm run`. */
export const run: Command = {
  summary: "run COMMAND, unless one of that NAME runs already",
  help: `Usage: qshm run [OPTION...] NAME [--] COMMAND [ARG...]

Runs COMMAND while holding the name: of several starts exactly one runs. The name is free again when COMMAND ends,
however it ends. If this wrapper is killed, the name stays held until COMMAND, and every child that COMMAND leaves
behind, has ended.

  --wait            wait until the name is free
  --timeout=S       wait at most S seconds
  --replace         take the name over: ask its holder to leave, and wait for that; --wait and --timeout begin after it
  --grace=S         with --replace: how many seconds it has (default: 5)
  --kill            with --replace: send it SIGTERM when they are over, and after as many again SIGKILL
  --forward         if the name is held, send COMMAND and its arguments to the holder, print the standard output and error
                    that it replies, and exit with its exit status; --timeout then limits the wait for the reply
  --busy-exit=N     exit with N instead of 75 when the name is held
  --json            the report of who holds the name as JSON, on standard error
  --directory=PATH  where the name is held (default: QSHM_DIRECTORY, else /dev/shm/qshm-<uid>)
  --help            this text

Exit status: that of COMMAND, or 128 + the number of the signal that ended it; 75 the name is held by another; 126
COMMAND cannot be run; 127 COMMAND is not found; 64 wrong usage; 70 internal error; 77 no permission. With --forward that of
the reply, or 0; 75 the holder takes no messages, as another qshm run does not, or time is up; 1 its handler failed; 65 the
arguments are larger than it takes; 69 it died or left before it replied.
Signals are passed on to COMMAND. Its arguments reach it byte for byte; to be forwarded they must be UTF-8. When another one
asks to take the name over, COMMAND gets SIGTERM. Only a holder that is proved to be one, of this user and in this PID
namespace, is ever killed; a COMMAND whose wrapper was killed is not.`,

  async run(args: Arguments): Promise<number> {
    const { values, name, command } = read(args);
    if (values.help === true) return await printHelp(run);
    checkTogether(values);
    const busyExit = values["busy-exit"] === undefined ? EXIT.busy : exitCode(values["busy-exit"]);
    const asText = (arg: Uint8Array): string =>
      values.forward === true ? checkText("what is forwarded", arg) : new TextDecoder().decode(arg);
    const text = command.map(asText);
    const hold = holding(name, text, values);
    try {
      const held = await hold();
      if (!(held instanceof SingleInstance)) return await passOn(held);
      const status = runCommand(held, command);
      held.release();
      exitAtOnce(status);
      return status;
    } catch (error) {
      if (error instanceof AlreadyRunningError) {
        console.error(values.json === true ? JSON.stringify(report(name, error)) : `qshm: ${busyLine(name, error)}`);
        return busyExit;
      }
      if (error instanceof NotFoundError) { // --kill: whoever holds it is not the one that said so
        console.error(`qshm: ${error.message}`);
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

/** Options that contradict each other, or mean nothing alone. */
function checkTogether({ wait, replace, grace, kill, forward }: Values): void {
  for (const [option, value] of Object.entries({ grace, kill })) {
    if (value !== undefined && replace !== true) throw new UsageError(`--${option} needs --replace`);
  }
  for (const [option, value] of Object.entries({ wait, replace })) {
    if (value !== undefined && forward !== undefined) throw new UsageError(`--forward does not go with --${option}`);
  }
}

/** How the name is to be held, or its holder to be asked. */
function holding(name: string, args: readonly string[], values: Values): () => Promise<SingleInstance | InstanceReply> {
  const place = placeOf(values.directory);
  const timeout = values.timeout === undefined ? Infinity : seconds("--timeout", values.timeout);
  if (values.forward === true) return () => holdOrForward(name, place, { args }, timeout);
  const isPatient = values.wait === true || values.timeout !== undefined;
  const options: AcquireOptions = { ...place, args, timeout: isPatient ? timeout : 0 };
  if (values.replace === true) {
    const grace = values.grace === undefined ? USUAL_GRACE : seconds("--grace", values.grace);
    options.replace = { grace, kill: values.kill === true };
  }
  return () => SingleInstance.acquire(name, options);
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
