/** A process that runs subjects on demand: a line `<subject> <count>` on its stdin, a line with nanoseconds back. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { type Command, commandOf } from "../support/runtimes.ts";
import type { Plan } from "./row.ts";

const SUBJECT_MAIN = new URL("./subject_main.ts", import.meta.url).pathname;

/** The driver's end of such a process. */
export class Host {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor({ command, args }: Command, plan: Plan, environment: Readonly<Record<string, string>> = {}) {
    this.#child = spawn(command, args, {
      stdio: ["pipe", "pipe", "inherit"],
      env: { ...process.env, QSHM_DIRECTORY: plan.directory, DENO_NO_UPDATE_CHECK: "1", ...environment },
    });
    this.#child.stdin!.on("error", () => {}); // it was killed
    this.#lines = createInterface({ input: this.#child.stdout! })[Symbol.asyncIterator]();
  }

  /** A process of the runtime under test, for the cases of a file in `rows/`. */
  static inRuntime(group: string, plan: Plan): Host {
    return new Host(commandOf(plan.runtime, SUBJECT_MAIN, [group]), plan);
  }

  /** A process of `rivals.c`. */
  static inC(plan: Plan, args: readonly string[] = [], environment: Readonly<Record<string, string>> = {}): Host {
    return new Host({ command: plan.rivals, args }, plan, environment);
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Runs a subject `count` times; gives the nanoseconds that all took. */
  async time(subject: string, count: number): Promise<number> {
    this.#child.stdin!.write(`${subject} ${count}\n`);
    const { value, done } = await this.#lines.next();
    const elapsed = Number(value);
    if (done || !Number.isFinite(elapsed)) throw new Error(`"${subject}" could not be measured: ${value ?? "its process ended"}`);
    return elapsed;
  }

  /** Lets the process end, and waits for that. */
  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, "exit");
    this.#child.stdin!.end();
    await exited;
  }

  /** Ends it by SIGKILL. */
  async kill(): Promise<void> {
    const exited = once(this.#child, "exit");
    process.kill(this.pid, "SIGKILL");
    await exited;
  }
}
