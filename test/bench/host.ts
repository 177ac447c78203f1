/**
 * A process that runs subjects on demand: a line `<subject> <count>` on its stdin, a line with nanoseconds back. A count of
 * 0 only prepares the subject.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { dirname } from "node:path";
import { createInterface } from "node:readline";
import { type Command, commandOf } from "../support/runtimes.ts";
import { compileQtRivals } from "./build.ts";
import type { Plan, SubjectName } from "./row.ts";

const SUBJECT_MAIN = new URL("./subject_main.ts", import.meta.url).pathname;

function pinned({ command, args }: Command): Command {
  return { command: "taskset", args: ["-c", "0", command, ...args] };
}

/** What can be asked for the time of a subject. */
export interface Clock {
  /** Runs a subject `count` times; gives the nanoseconds that all took. */
  time(subject: SubjectName, count: number): Promise<number>;
}

/** How a process is started. */
export interface HostOptions {
  readonly environment?: Readonly<Record<string, string>>;
  /** On the first processor only. */
  readonly isPinned?: boolean;
}

/** The driver's end of such a process. */
export class Host implements Clock {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #kill = (): void => void this.#child.kill("SIGKILL");

  constructor(program: Command, plan: Plan, { environment, isPinned = false }: HostOptions = {}) {
    const { command, args } = isPinned ? pinned(program) : program;
    this.#child = spawn(command, args, {
      stdio: ["pipe", "pipe", "inherit"],
      env: { ...process.env, QSHM_DIRECTORY: plan.directory, DENO_NO_UPDATE_CHECK: "1", ...environment },
    });
    this.#child.stdin!.on("error", () => {}); // it was killed
    process.once("exit", this.#kill); // when a measurement fails: it may wait for another that is gone
    this.#lines = createInterface({ input: this.#child.stdout! })[Symbol.asyncIterator]();
  }

  /** A process of the plan's runtime, for the cases of a file in `rows/`. */
  static inRuntime(group: string, plan: Plan, options?: HostOptions): Host {
    return new Host(commandOf(plan.runtime, SUBJECT_MAIN, [group]), plan, options);
  }

  /** A process of `rivals.c`. */
  static inC(plan: Plan, args: readonly string[] = [], options?: HostOptions): Host {
    return new Host({ command: plan.rivals, args }, plan, options);
  }

  /** A process of `rivals_qt.cpp`. */
  static inQt(plan: Plan): Host {
    return new Host({ command: compileQtRivals(dirname(plan.rivals)), args: [] }, plan);
  }

  get pid(): number {
    return this.#child.pid!;
  }

  async time(subject: SubjectName, count: number): Promise<number> {
    this.#child.stdin!.write(`${subject} ${count}\n`);
    const { value, done } = await this.#lines.next();
    const elapsed = Number(value);
    if (done || !Number.isFinite(elapsed)) throw new Error(`"${subject}" could not be measured: ${value ?? "its process ended"}`);
    return elapsed;
  }

  /** Lets the process end, and waits for that. */
  async end(): Promise<void> {
    process.off("exit", this.#kill);
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, "exit");
    this.#child.stdin!.end();
    await exited;
  }

  /** Ends it by SIGKILL. */
  async kill(): Promise<void> {
    process.off("exit", this.#kill);
    const exited = once(this.#child, "exit");
    process.kill(this.pid, "SIGKILL");
    await exited;
  }
}
