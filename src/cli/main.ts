/**
 * The `qshm` command. Started by launch.sh.
 *
 * @module
 */

import { LibraryError, QshmError, UnsupportedPlatformError } from "../../mod.ts";
import { environment, exit, kernelArguments, programArguments } from "../command.ts";
import { type Command, printHelp } from "./command.ts";
import { doctor } from "./doctor.ts";
import { EXIT, exitCodeOf, UsageError } from "./exit_codes.ts";
import { list } from "./list.ts";
import { remove } from "./remove.ts";
import { run } from "./run.ts";
import { send } from "./send.ts";
import { show } from "./show.ts";
import { status } from "./status.ts";
import { top } from "./top.ts";
import { unlock } from "./unlock.ts";
import { watch } from "./watch.ts";

const COMMANDS: Readonly<Record<string, Command>> = { run, status, send, list, show, watch, top, unlock, remove, doctor };

const HELP = `Usage: qshm COMMAND [ARGUMENT...]

Runs commands one at a time, and shows the shared memory of this user.

${Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(8)}${summary}`).join("\n")}

qshm COMMAND --help tells more. QSHM_DIRECTORY says where names live, QSHM_RUNTIME (bun, deno or node) what runs this
command, QSHM_DEBUG=1 traces decisions.`;

/** The program's arguments: what follows the script in the kernel's list. */
function readAll(): readonly Uint8Array[] {
  try {
    const { args, withRuntime } = kernelArguments();
    if (!withRuntime) return args;
    const script = new URL(import.meta.url).pathname.split("/").at(-1)!;
    const scriptAt = args.findIndex((arg) => new TextDecoder().decode(arg).split("/").at(-1) === script);
    if (scriptAt >= 0) return args.slice(scriptAt + 1); // else its place was overwritten, as --title does in Node
  } catch (error) {
    // `doctor` has to work, above all, where the library does not.
    if (!(error instanceof LibraryError || error instanceof UnsupportedPlatformError)) throw error;
  }
  return programArguments().map((arg) => new TextEncoder().encode(arg));
}

async function main(): Promise<number> {
  const bytes = readAll();
  const text = bytes.map((arg) => new TextDecoder("utf-8", { ignoreBOM: true }).decode(arg));
  const [name, ...rest] = text;
  if (name === "--help" || name === "help") return await printHelp({ help: HELP });
  if (name === undefined) throw new UsageError("COMMAND is missing");
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) throw new UsageError(`there is no command ${JSON.stringify(name)}`);
  // `run` has a COMMAND to tell apart, and `watch` has one behind "--".
  const own = rest.includes("--") ? rest.slice(0, rest.indexOf("--")) : rest;
  if (name !== "run" && own.includes("--help")) return await printHelp(command);
  return await command.run({ text: rest, bytes: bytes.slice(1) });
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
