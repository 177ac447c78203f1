/**
 * `process`, as far as Bun and Node have it and this package needs it, so that no runtime's typings are needed. Deno has
 * one too, but makes it on first use, which takes 12 ms: its adapter goes another way.
 *
 * @module
 */

import type { Timer } from "./native.ts";

/** The part of Node's `process` that is used. */
export interface Process {
  readonly platform: string;
  readonly arch: string;
  readonly versions: Readonly<Record<string, string | undefined>>;
  readonly argv: readonly string[];
  exit(code: number): void;
  readonly env: Readonly<Record<string, string | undefined>>;
  emitWarning: (...warning: unknown[]) => void;
  readonly pid: number;
  on(event: "exit", listener: () => void): void;
  prependListener(event: string, listener: () => void): void;
  removeListener(event: string, listener: () => void): void;
  listenerCount(event: string): number;
  kill(pid: number, signal: string): void;
  /** Synchronous; `undefined` for what the runtime does not have. Absent in old versions of Node. */
  getBuiltinModule?(name: string): unknown;
}

/** The running process. */
export function process(): Process {
  return (globalThis as unknown as { process: Process }).process;
}

/** Signals by which people and systems end programs. */
export const ENDING_SIGNALS: readonly string[] = ["SIGINT", "SIGTERM", "SIGHUP"];

/** See `Adapter.onEnd`. */
export function onNodeEnd(hook: () => void): void {
  const current = process();
  current.prependListener("exit", hook);
  for (const signal of ENDING_SIGNALS) {
    const listener = (): void => {
      // Where the program has listeners of its own, they decide what becomes of it.
      if (current.listenerCount(signal) > 1) return;
      hook();
      current.removeListener(signal, listener);
      current.kill(current.pid, signal);
    };
    current.prependListener(signal, listener);
  }
}

/** Is there a file? Node's `fs` is loaded only now. */
export function isFile(path: string): boolean {
  return (process().getBuiltinModule!("node:fs") as { existsSync(path: string): boolean }).existsSync(path);
}

/** `enum qshm_bell` */
export const FIFO = 1;
export const SOCKET = 2;

/** The part of Node's `net` that is used. */
export interface Net {
  Socket: new (options: {
    fd: number;
    readable: boolean;
    writable: boolean;
    onread: { buffer: Uint8Array; callback: () => boolean };
  }) => {
    on(event: "close" | "error", listener: () => void): void;
    read(size: number): void;
    unref(): void;
    destroy(): void;
  };
}

/** Listens to a FIFO by Node's `net`: no thread, and it can be told not to keep the process alive. */
export function listenByNet({ Socket }: Net, fd: number, ring: () => void, broken: () => void): () => void {
  let closed = false;
  const callback = (): boolean => {
    if (!closed) ring();
    return true; // go on
  };
  // One buffer for all that is read, which is thrown away: the stream would make a new one for each byte.
  const onread = { buffer: new Uint8Array(4096), callback };
  const socket = new Socket({ fd, readable: true, writable: false, onread });
  socket.on("error", () => {}); // then it closes
  socket.on("close", () => closed || broken());
  socket.read(0);
  socket.unref();
  return () => {
    closed = true;
    socket.destroy();
  };
}

/** Node's timers, which unlike the web's can be told not to keep the process alive. */
interface NodeTimers {
  setTimeout(f: () => void, ms: number): { ref(): void; unref(): void };
  clearTimeout(timer: object): void;
  setImmediate(f: () => void): void;
}

function timers(): NodeTimers {
  return globalThis as unknown as NodeTimers;
}

/** Starts one of Node's timers. */
export function startNodeTimer(f: () => void, ms: number, keepAlive: boolean): Timer {
  const timer = timers().setTimeout(f, ms);
  if (!keepAlive) timer.unref();
  return {
    cancel: () => timers().clearTimeout(timer),
    keepAlive: (keepAlive) => keepAlive ? timer.ref() : timer.unref(),
  };
}

/** Calls `f` in the next turn of the event loop. */
export function nextTurn(f: () => void): void {
  timers().setImmediate(f);
}
