/** Drives a process of `peer_main.ts` from a test. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type * as qshm from "../../mod.ts";
import { commandOf, type RuntimeName, TEST_LIBRARY } from "./runtimes.ts";

export type Api = typeof qshm;
// deno-lint-ignore no-explicit-any -- a test's own variables, of whatever type
export type State = Record<string, any>;

export interface PeerOptions {
  /** QSHM_DIRECTORY of the process. */
  readonly directory: string;
  /** Load the library whose steps can be armed. */
  readonly faults?: boolean;
  readonly env?: Readonly<Record<string, string>>;
  /** Run as this user and group; for root only. */
  readonly uid?: number;
  readonly gid?: number;
}

/** What a function in a peer threw. */
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

export class Peer implements AsyncDisposable {
  readonly runtime: RuntimeName;
  readonly child: ChildProcess;
  readonly #answers = new Map<number, PromiseWithResolvers<unknown>>();
  readonly #exited: Promise<unknown>;
  #stderr = "";
  #last = 0;

  private constructor(runtime: RuntimeName, options: PeerOptions) {
    this.runtime = runtime;
    const { command, args } = commandOf(runtime, new URL("./peer_main.ts", import.meta.url).pathname);
    this.child = spawn(command, args, {
      env: {
        ...process.env,
        QSHM_DIRECTORY: options.directory,
        ...(options.faults ? { QSHM_LIBRARY: TEST_LIBRARY } : {}),
        ...options.env,
      },
      ...(options.uid === undefined ? {} : { uid: options.uid }),
      ...(options.gid === undefined ? {} : { gid: options.gid }),
    });
    this.#exited = once(this.child, "exit").then(() => {
      for (const { reject } of this.#answers.values()) {
        reject(new Error(`${runtime} peer ended (${this.child.signalCode ?? this.child.exitCode}): ${this.#stderr}`));
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

  /** Starts a process and waits until it listens. */
  static async start(runtime: RuntimeName, options: PeerOptions): Promise<Peer> {
    const peer = new Peer(runtime, options);
    const ready = Promise.withResolvers<unknown>();
    peer.#answers.set(0, ready);
    await ready.promise;
    return peer;
  }

  get pid(): number {
    return this.child.pid!;
  }

  /** What it wrote to stderr so far. */
  get stderr(): string {
    return this.#stderr;
  }

  /** Runs a function there. It must not use anything from outside: only its source is sent. */
  run<A, R>(f: (api: Api, state: State, argument: A) => R | Promise<R>, argument?: A): Promise<R> {
    const id = ++this.#last;
    const answer = Promise.withResolvers<unknown>();
    this.#answers.set(id, answer);
    // vitest gives its own name to dynamic imports, and tsx names functions; neither helper exists there.
    const text = f.toString().replaceAll("__vite_ssr_dynamic_import__", "import");
    const source = text.includes("__name(") ? `((__name) => (${text}))((named) => named)` : text;
    this.child.stdin!.write(`${JSON.stringify({ id, source, argument })}\n`);
    return answer.promise as Promise<R>;
  }

  /** Runs an exported function of a module there, with the same three arguments. */
  call<R>(module: string, name: string, argument?: unknown): Promise<R> {
    return this.run(async (api, state, { module, name, argument }) => {
      return (await import(module))[name](api, state, argument);
    }, { module, name, argument });
  }

  /** Sends a signal; SIGKILL and its like are waited for with `exited`. */
  signal(name: NodeJS.Signals): void {
    // Not ChildProcess.kill(): in Deno that closes the pipes first, and a peer would end in order.
    if (this.child.exitCode === null && this.child.signalCode === null) process.kill(this.child.pid!, name);
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
    if (this.child.exitCode === null && this.child.signalCode === null) await this.kill();
  }
}
