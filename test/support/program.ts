/** Runs a program of its own in a runtime, line by line; for what a peer cannot do, such as ending by itself. */

import { type ChildProcess, spawn, type SpawnOptions } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { commandOf, type RuntimeName } from "./runtimes.ts";

export interface ProgramOptions {
  readonly directory: string;
  readonly args?: readonly string[];
  /** Flags of the runtime itself. */
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly uid?: number;
  readonly gid?: number;
}

export class Program implements AsyncDisposable {
  readonly child: ChildProcess;
  readonly #lines: string[] = [];
  readonly #closed: Promise<unknown>;
  #arrived = Promise.withResolvers<void>();
  #isClosed = false;
  #stderr = "";

  constructor(runtime: RuntimeName, file: string, options: ProgramOptions) {
    const { command, args } = commandOf(runtime, file, options.args);
    const at = runtime === "deno" ? 1 : 0; // behind `run`
    const all = [...args.slice(0, at), ...(options.flags ?? []), ...args.slice(at)];
    const spawnOptions: SpawnOptions = {
      env: { ...process.env, QSHM_DIRECTORY: options.directory, ...options.env },
      ...(options.uid === undefined ? {} : { uid: options.uid }),
      ...(options.gid === undefined ? {} : { gid: options.gid }),
    };
    this.child = spawn(command, all, spawnOptions);
    this.child.stdin!.on("error", () => {}); // it has ended
    this.child.stderr!.on("data", (text) => this.#stderr += text);
    createInterface({ input: this.child.stdout! }).on("line", (line) => this.#arrive(() => this.#lines.push(line)));
    this.#closed = once(this.child, "close").then(() => this.#arrive(() => this.#isClosed = true));
  }

  #arrive(how: () => void): void {
    how();
    this.#arrived.resolve();
    this.#arrived = Promise.withResolvers();
  }

  get pid(): number {
    return this.child.pid!;
  }

  get stderr(): string {
    return this.#stderr;
  }

  /** The next line of its stdout. Throws if it ends instead. */
  async line(): Promise<string> {
    while (this.#lines.length === 0) {
      if (this.#isClosed) {
        throw new Error(`It ended (${this.child.signalCode ?? this.child.exitCode}): ${this.#stderr}`);
      }
      await this.#arrived.promise;
    }
    return this.#lines.shift()!;
  }

  /** Sends it a line. */
  say(line = ""): void {
    this.child.stdin!.write(`${line}\n`);
  }

  /** Waits for its end; gives the exit code, or the signal. */
  async exited(): Promise<number | string> {
    await this.#closed;
    return this.child.signalCode ?? this.child.exitCode!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill("SIGKILL");
    await this.#closed;
  }
}
