/**
 * The `qshm` command. Started by launch.sh.
 *
 * @module
 */

import { LibraryError, QshmError, UnsupportedPlatformError } from "../../mod.ts";
import { environment, exit, kernelArguments, programArguments } from "../command.ts";
import type { Arguments, Command } from "./command.ts";
import { doctor } from "./doctor.ts";
import { EXIT, exitCodeOf, UsageError } from "./exit_codes.ts";
import { list } from "./list.ts";
import { remove } from "./remove.ts";
import { run } from "./run.ts";
import { show } from "./show.ts";
import { status } from "./status.ts";
import { unlock } from "./unlock.ts";

const COMMANDS: Readonly<Record<string, Command>> = { run, status, list, show, unlock, remove, doctor };

const HELP = `Usage: qshm COMMAND [ARGUMENT...]

Runs commands one at a time, and shows the shared memory of this user.

${Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(8)}${summary}`).join("\n")}

qshm COMMAND --help tells more. QSHM_DIRECTORY says where names live, QSHM_RUNTIME (bun, deno or node) what runs this
command, QSHM_DEBUG=1 traces decisions.`;

/** The program's arguments: what follows the script in the kernel's list. */
function readAll(): Arguments {
  const encoder = new TextEncoder();
  let bytes: readonly Uint8Array[];
  try {
    const { args, withRuntime } = kernelArguments();
    const script = new URL(import.meta.url).pathname.split("/").at(-1)!;
    const isScript = (arg: Uint8Array): boolean => new TextDecoder().decode(arg).split("/").at(-1) === script;
    bytes = withRuntime ? args.slice(args.findIndex(isScript) + 1) : args;
  } catch (error) {
    // `doctor` has to work, above all, where the library does not.
    if (!(error instanceof LibraryError || error instanceof UnsupportedPlatformError)) throw error;
    bytes = programArguments().map((arg) => encoder.encode(arg));
  }
  return { bytes, text: bytes.map((arg) => new TextDecoder().decode(arg)) };
}

async function main(): Promise<number> {
  const { bytes, text } = readAll();
  const [name, ...rest] = text;
  if (name === "--help" || name === "help") {
    console.log(HELP);
    return EXIT.ok;
  }
  if (name === undefined) throw new UsageError("COMMAND is missing");
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) throw new UsageError(`there is no command ${JSON.stringify(name)}`);
  if (asksForHelp(name, rest)) {
    console.log(command.help);
    return EXIT.ok;
  }
  return await command.run({ text: rest, bytes: bytes.slice(1) });
}

/** Of `run`, only what stands before NAME is ours. */
function asksForHelp(name: string, args: readonly string[]): boolean {
  const end = args.findIndex((arg) => arg === "--" || (name === "run" && !arg.startsWith("-")));
  return args.slice(0, end < 0 ? args.length : end).includes("--help");
}

function report(error: unknown): number {
  const code = exitCodeOf(error);
  const trace = environment("QSHM_DEBUG") === "1";
  if (code === undefined || trace) {
    console.error(`qshm: ${error instanceof Error ? (trace ? error.stack : `internal error: ${error.message}`) : String(error)}`);
  } else {
    console.error(`qshm: ${(error as Error).message}`);
  }
  if (error instanceof UsageError) console.error("qshm: see qshm --help");
  if (error instanceof QshmError && code === EXIT.internal) console.error("qshm: see qshm doctor");
  return code ?? EXIT.internal;
}

exit(await main().catch(report));
