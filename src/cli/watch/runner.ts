/**
 * The COMMAND of `qshm watch`. Unlike that of `qshm run` it runs beside the event loop, and holds nothing.
 *
 * @module
 */

import type { ChildProcess } from "node:child_process";
import type { EndingSignal } from "../ending.ts";

/** What the launcher put into the environment for `qshm` itself. */
const OWN_VARIABLE = /^QSHM_(ARGUMENT_\d+|SIGNALS_IGNORED|DESCRIPTORS|OPEN_FILES)$/;
const STDIN = 0;

/** COMMAND cannot be run. */
export class UnrunnableError extends Error {
  override readonly name = "UnrunnableError";
  readonly isMissing: boolean;

  constructor(message: string, isMissing: boolean) {
    super(message);
    this.isMissing = isMissing;
  }
}

/** Runs a command, again and again, but never two at once. */
export class Runner {
  readonly #program: string;
  readonly #args: readonly string[];
  #child: ChildProcess | undefined;

  constructor(command: readonly Uint8Array[]) {
    [this.#program, ...this.#args] = wordsOf(command) as [string, ...string[]];
  }

  /** Runs it to its end, whatever that is. */
  async run(variables: Readonly<Record<string, string>>): Promise<void> {
    const { spawn } = await import("node:child_process");
    const { default: process } = await import("node:process");
    const inherited = Object.entries(process.env).filter(([name]) => !OWN_VARIABLE.test(name));
    const env = { ...Object.fromEntries(inherited), ...variables };
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const fail = (error: unknown): void => {
      const { code, message } = error as { code?: string; message: string };
      reject(new UnrunnableError(message, code === "ENOENT"));
    };
    try {
      this.#child = spawn(this.#program, this.#args, { stdio: "inherit", env });
      this.#child.once("error", fail);
      this.#child.once("exit", () => resolve());
    } catch (error) {
      fail(error);
    }
    await promise.finally(() => this.#child = undefined);
  }

  /** Passes a signal on, unless a terminal has sent it to all that run in its foreground. */
  async pass(signal: EndingSignal): Promise<void> {
    const { isatty } = await import("node:tty");
    if (signal !== "SIGINT" || !isatty(STDIN)) this.#child?.kill(signal);
  }
}

/** The words of a command. The runtimes pass on UTF-8 only: a shell makes the bytes of what is not. */
function wordsOf(command: readonly Uint8Array[]): string[] {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  try {
    return command.map((word) => decoder.decode(word));
  } catch {
    return ["/bin/sh", "-c", scriptOf(command), "sh"];
  }
}

function scriptOf(command: readonly Uint8Array[]): string {
  // "$()" takes away newlines at the end: the dot keeps them.
  const add = (word: Uint8Array): string => `QSHM_WORD=$(printf '${octal(word)}.'); set -- "$@" "\${QSHM_WORD%.}"\n`;
  return `${command.map(add).join("")}unset QSHM_WORD\nexec "$@"`;
}

function octal(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => {
    const character = String.fromCharCode(byte);
    return /[\w/]/.test(character) ? character : `\\${byte.toString(8).padStart(3, "0")}`;
  }).join("");
}
