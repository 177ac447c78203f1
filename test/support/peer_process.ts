/** A process that answers: each line on its stdin is an order `{ id, ... }`, each line on its stdout `{ id, value }` or `{ id, error }`. */

import { type ChildProcess, spawn, type SpawnOptions } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Command } from "./runtimes.ts";

/** What an order ended with there. */
export class PeerError extends Error {
  readonly code: string | undefined;
  readonly pid: number | undefined;

  constructor(error: { name: string; message: string; code?: string; pid?: number; stack?: string }) {
    super(error.message, { cause: error.stack });
    this.name = error.name;
    this.code = error.code;
    this.pid = error.pid;
  }
}

export class PeerProcess implements AsyncDisposable {
  readonly child: ChildProcess;
  readonly #answers = new Map<number, PromiseWithResolvers<unknown>>();
  readonly #exited: Promise<unknown>;
  #stderr = "";
  #last = 0;

  /** Starts it; `name` stands in the message when it ends with answers owed. */
  protected constructor(name: string, { command, args }: Command, options: SpawnOptions) {
    this.child = spawn(command, args, options);
    this.#exited = once(this.child, "exit").then(() => {
      for (const { reject } of this.#answers.values()) {
        reject(new Error(`${name} peer ended (${this.child.signalCode ?? this.child.exitCode}): ${this.#stderr}`));
      }
      this.#answers.clear();
    });
    this.child.stderr!.on("data", (text) => this.#stderr += text);
    this.child.stdin!.on("error", () => {}); // the peer was killed
    createInterface({ input: this.child.stdout! }).on("line", (line) => {
      const { id, value, error } = JSON.parse(line);
      const answer = this.#answers.get(id);
      this.#answers.delete(id);
      if (error) answer?.reject(new PeerError(error));
      else answer?.resolve(value);
    });
  }

  /** Resolves once it listens, which it says by an answer to 0. */
  protected async listening(): Promise<void> {
    await this.#answer(0);
  }

  /** Gives an order; resolves with the answer's value. */
  protected order(order: object): Promise<unknown> {
    const id = ++this.#last;
    const answer = this.#answer(id);
    this.child.stdin!.write(`${JSON.stringify({ id, ...order })}\n`);
    return answer;
  }

  #answer(id: number): Promise<unknown> {
    const answer = Promise.withResolvers<unknown>();
    this.#answers.set(id, answer);
    return answer.promise;
  }

  get pid(): number {
    return this.child.pid!;
  }

  /** What it wrote to stderr so far. */
  get stderr(): string {
    return this.#stderr;
  }

  get hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  /** Sends a signal; SIGKILL and its like are waited for with `exited`. */
  signal(name: NodeJS.Signals): void {
    // Not ChildProcess.kill(): in Deno that closes the pipes first, and a peer would end in order.
    if (!this.hasEnded) process.kill(this.child.pid!, name);
  }

  /** Kills it with SIGKILL and waits for its end. Pending answers are rejected. */
  async kill(): Promise<void> {
    for (const { promise } of this.#answers.values()) promise.catch(() => {});
    this.signal("SIGKILL");
    await this.#exited;
  }

  /** Waits for its end; gives the exit code, or the signal. */
  async exited(): Promise<number | string> {
    await this.#exited;
    return this.child.signalCode ?? this.child.exitCode!;
  }

  /** Lets it end by itself: its input ends. */
  end(): Promise<number | string> {
    this.child.stdin!.end();
    return this.exited();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.hasEnded) await this.kill();
  }
}
