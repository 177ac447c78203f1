/**
 * What a subcommand is, and how its arguments are read.
 *
 * @module
 */

import { parseArgs, type ParsedArgs, type ParseArgsOptionsConfig } from "node:util";
import { EXIT, UsageError } from "./exit_codes.ts";
import { print } from "./output.ts";
import { toJson } from "./text.ts";

/** A subcommand. */
export interface Command {
  /** One line for the list of commands. */
  readonly summary: string;
  /** The whole help, without a newline at the end. */
  readonly help: string;
  /** Runs with the arguments behind the subcommand's name; gives the exit code. */
  run(args: Arguments): number | Promise<number>;
}

/** Arguments as text, and as the kernel has them. */
export interface Arguments {
  readonly text: readonly string[];
  readonly bytes: readonly Uint8Array[];
}

/** The options of every command. */
export const COMMON = {
  json: { type: "boolean" },
  directory: { type: "string" },
} as const satisfies ParseArgsOptionsConfig;

/** The common options in a help text. */
export const COMMON_HELP = `  --json            JSON on standard output
  --directory=PATH  where the segments are (default: QSHM_DIRECTORY, else /dev/shm/qshm-<uid>)
  --help            this text`;

/** Reads options and exactly `names.length` operands; a misspelt option is an error. */
export function readArguments<T extends ParseArgsOptionsConfig>(
  args: readonly string[],
  options: T,
  names: readonly string[],
): { readonly values: ParsedArgs<T>["values"]; readonly operands: readonly string[] } {
  const { values, positionals } = asUsage(() => parseArgs({ args: [...args], options, allowPositionals: true }));
  if (positionals.length < names.length) throw new UsageError(`${names[positionals.length]} is missing`);
  if (positionals.length > names.length) {
    throw new UsageError(`unexpected argument ${JSON.stringify(positionals[names.length])}`);
  }
  return { values, operands: positionals };
}

/** Turns a mistake in the command line into a {@linkcode UsageError}. */
export function asUsage<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    // The first sentence says it; what follows is advice for programmers.
    throw new UsageError(error.message.split(". ")[0]!);
  }
}

/** A number of seconds that an option gives, in ms. */
export function seconds(option: string, text: string): number {
  if (!/^\d+(\.\d+)?$/.test(text)) throw new UsageError(`${option} must be a number of seconds: got ${toJson(text)}`);
  return Number(text) * 1000;
}

/** A number of times that an option gives; without it there is no limit. */
export function times(option: string, text: string | undefined): number {
  if (text === undefined) return Infinity;
  if (!/^\d+$/.test(text) || Number(text) === 0) throw new UsageError(`${option} must be 1 or more: got ${toJson(text)}`);
  return Number(text);
}

/** The place that `--directory` names. */
export function placeOf(directory: string | undefined): { directory?: string } {
  return directory === undefined ? {} : { directory };
}

/** Bytes as text: what is not UTF-8 would silently become something else. `what` is what messages call them. */
export function checkText(what: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new UsageError(`${what} must be UTF-8`);
  }
}

/** A NAME as text. */
export function checkName(bytes: Uint8Array): string {
  if (bytes.length === 0) throw new UsageError("NAME must not be empty");
  return checkText("NAME", bytes);
}

/** Prints a command's help; gives the exit code. */
export async function printHelp({ help }: { readonly help: string }): Promise<number> {
  await print(help);
  return EXIT.ok;
}
