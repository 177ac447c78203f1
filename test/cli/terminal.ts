/** An interactive shell in a terminal, where a test types; for tests that are skipped without a C compiler. */

import type { RuntimeName } from "../support/runtimes.ts";
import { program, type Running, startProgram, until } from "./run/support.ts";
import { LAUNCHER } from "./support.ts";

const PROMPT = "[ready]";

export class Terminal implements AsyncDisposable {
  readonly running: Running;
  #shown = "";
  #all = "";

  constructor(running: Running) {
    this.running = running;
    running.child.stdout!.on("data", (bytes) => {
      this.#shown += bytes;
      this.#all += bytes;
    });
  }

  /** All that it ever showed. */
  get all(): string {
    return this.#all;
  }

  type(keys: string): void {
    this.running.child.stdin!.write(keys);
  }

  /** Waits until it shows this; gives what it showed up to there. */
  async shows(what: RegExp): Promise<RegExpExecArray> {
    let found: RegExpExecArray | null = null;
    await until(() => (found = what.exec(this.#shown)) !== null);
    this.#shown = this.#shown.slice(found!.index + found![0].length);
    return found!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.running[Symbol.asyncDispose]();
  }
}

/** Opens one, and waits for the prompt. `$QSHM` is the command, `$PROGRAM` the tests' program. */
export async function openTerminal(runtime: RuntimeName, directory: string): Promise<Terminal> {
  const env = { QSHM_DIRECTORY: directory, QSHM: LAUNCHER, PROGRAM: program(), PS1: PROMPT, ENV: undefined };
  const terminal = new Terminal(startProgram(runtime, program(), ["terminal", "sh", "-i"], { env }));
  await terminal.shows(/\[ready\]/);
  return terminal;
}
