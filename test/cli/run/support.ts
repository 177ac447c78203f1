/** What the tests of `qshm run` share: a program that is driven line by line, and shell scripts that use the command. */

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readdirSync, readlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";
import type { RuntimeName } from "../../support/runtimes.ts";
import { SKIPS } from "../../support/skips.ts";
import { stateOf } from "../../support/stopped.ts";
import { environmentFor, LAUNCHER, startQshm, type StartOptions } from "../support.ts";

let built: string | undefined;

/** The path of `program.c`, built at first use; for tests that are skipped without a C compiler. */
export function program(): string {
  if (SKIPS.cc !== undefined) throw new Error(SKIPS.cc);
  if (built === undefined) {
    const path = `${mkdtempSync(`${tmpdir()}/qshm-run-program-`)}/program`;
    const source = new URL("./program.c", import.meta.url).pathname;
    execFileSync("cc", ["-std=gnu11", "-O1", "-Wall", "-Werror", "-o", path, source], { stdio: "inherit" });
    built = path;
  }
  return built;
}

/** Looks until it is so; the test's own time limit is the watchdog. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await setTimeout(1);
}

/** Has a process ended? Whoever has to reap it may take a while, or never do it. */
export function hasEnded(pid: number): boolean {
  return ["", "Z", "X"].includes(stateOf(pid));
}

/** Has a process opened a file in this directory? */
export function hasOpen(pid: number, directory: string): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => {
      try {
        return readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith(directory);
      } catch {
        return false; // closed meanwhile
      }
    });
  } catch {
    return false; // it has ended
  }
}

/**
 * A FIFO that COMMAND, or a child of it, reads to its end: it lives until the test lets go. (The input of a killed wrapper
 * would do, but Node closes that when the wrapper ends.)
 */
export function hand(directory: string): Disposable & { path: string; letGo(): void } {
  const path = `${directory}/hand`;
  execFileSync("mkfifo", [path]);
  let fd: number | undefined = openSync(path, "r+");
  const letGo = (): void => {
    if (fd !== undefined) closeSync(fd);
    fd = undefined;
  };
  return { path, letGo, [Symbol.dispose]: letGo };
}

/** A running command. What it runs has to end with its input: so nothing is left behind when a test fails. */
export class Running implements AsyncDisposable {
  readonly child: ChildProcess;
  readonly #lines: string[] = [];
  readonly #closed: Promise<unknown>;
  readonly #stopped = new Set<number>();
  #arrived = Promise.withResolvers<void>();
  #isClosed = false;
  #stderr = "";

  constructor(child: ChildProcess) {
    this.child = child;
    child.stdin!.on("error", () => {}); // it has ended
    child.stderr!.on("data", (text) => this.#stderr += text);
    createInterface({ input: child.stdout! }).on("line", (line) => this.#arrive(() => this.#lines.push(line)));
    this.#closed = once(child, "close").then(() => this.#arrive(() => this.#isClosed = true));
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

  /** For processes that a test stops: they are killed when it fails. */
  remember(...pids: number[]): void {
    for (const pid of pids) this.#stopped.add(pid);
  }

  /** Sends it a line. */
  say(line: string): void {
    this.child.stdin!.write(`${line}\n`);
  }

  /** Ends its input; gives the lines that were left, and the exit code or signal. */
  async end(): Promise<{ lines: string[]; status: number | string }> {
    this.child.stdin!.end();
    return await this.ended();
  }

  /** Waits for its end. */
  async ended(): Promise<{ lines: string[]; status: number | string }> {
    await this.#closed;
    this.#stopped.clear();
    return { lines: this.#lines.splice(0), status: this.child.signalCode ?? this.child.exitCode! };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.stdin!.destroy();
    for (const pid of this.#stopped) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // it is gone
      }
    }
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill("SIGKILL");
    await this.#closed;
  }
}

/** Starts the command. */
export function start(runtime: RuntimeName, args: readonly string[], options: StartOptions = {}): Running {
  return new Running(startQshm(runtime, args, options));
}

/** Starts a shell script; `$QSHM` is the command. */
export function startScript(runtime: RuntimeName, script: string, { env, cwd }: StartOptions = {}): Running {
  return startProgram(runtime, "sh", ["-c", script], { env: { QSHM: LAUNCHER, ...env }, ...(cwd !== undefined && { cwd }) });
}

/** Starts any program in the command's surroundings. */
export function startProgram(runtime: RuntimeName, path: string, args: readonly string[], options: StartOptions = {}): Running {
  const { env, cwd } = options;
  return new Running(spawn(path, args, { env: environmentFor(runtime, env), ...(cwd !== undefined && { cwd }) }));
}

/** Runs a shell script to its end. */
export async function script(
  runtime: RuntimeName,
  text: string,
  options?: StartOptions,
): Promise<{ lines: string[]; status: number | string; stderr: string }> {
  await using running = startScript(runtime, text, options);
  return { ...(await running.end()), stderr: running.stderr };
}
