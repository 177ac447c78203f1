/**
 * Bun: `bun:ffi`. See https://bun.com/docs/runtime/ffi.
 *
 * @module
 */

import type { Adapter, Address, Functions, Table } from "./native.ts";
import { isFile, nextTurn, onNodeEnd, process, SOCKET, startNodeTimer } from "./process.ts";
import type { Word } from "./symbols.ts";

interface BunFfi {
  dlopen(path: string, symbols: Record<string, { args: string[]; returns: string }>): { symbols: unknown };
  toArrayBuffer(pointer: Address, offset: number, size: number): ArrayBuffer;
}

interface BunSocket {
  unref(): void;
  terminate(): void;
}

interface BunConnector {
  connect(options: {
    fd: number;
    socket: {
      open(socket: BunSocket): void;
      data(): void;
      close(): void;
      error(): void;
      connectError(): void;
    };
  }): Promise<unknown>;
}

function connector(): BunConnector {
  return (globalThis as unknown as { Bun: BunConnector }).Bun;
}

const WORDS: Readonly<Record<Word, string>> = {
  u32: "u32",
  i32: "i32",
  f64: "f64",
  in: "buffer",
  out: "buffer",
  address: "ptr",
};

let module: BunFfi | undefined;

function ffi(): BunFfi {
  return module ??= process().getBuiltinModule!("bun:ffi") as BunFfi;
}

/** The adapter for Bun. */
export const bun: Adapter = {
  name: "bun",

  open<T extends Table>(path: string, table: T): Functions<T> {
    const symbols = Object.fromEntries(
      Object.entries(table).map(([name, { parameters, result }]) => [
        name,
        { args: parameters.map((word) => WORDS[word]), returns: WORDS[result] },
      ]),
    );
    return ffi().dlopen(path, symbols).symbols as Functions<T>;
  },

  view(address: Address, size: number): ArrayBuffer {
    return ffi().toArrayBuffer(address, 0, size);
  },

  isExecutable(): boolean {
    // A module's own URL may be that of the machine where it was compiled.
    return process().argv[1]?.startsWith("/$bunfs/") ?? false;
  },

  isFile,

  platform(): string {
    return `${process().platform}-${process().arch}`;
  },

  startTimer: startNodeTimer,
  nextTurn,
  bellKind: SOCKET, // its poller takes no FIFO

  listen(fd: number, ring: () => void, broken: () => void): () => void {
    let socket: BunSocket | undefined;
    let closed = false;
    const opened = (now: BunSocket): void => {
      socket = now;
      socket.unref();
      if (closed) socket.terminate();
    };
    const lost = (): void => {
      if (!closed) broken();
    };
    connector().connect({
      fd,
      socket: { open: opened, data: () => closed || ring(), close: lost, error: () => {}, connectError: lost },
    }).catch(lost);
    return () => {
      closed = true;
      socket?.terminate();
    };
  },

  env(name: string): string | undefined {
    const { env } = process();
    return Object.hasOwn(env, name) ? env[name] : undefined; // not the members that every object has
  },

  args(): readonly string[] {
    return process().argv.slice(2);
  },

  exit(code: number): void {
    process().exit(code);
  },

  onExit(hook: () => void): void {
    process().on("exit", hook);
  },

  onEnd: onNodeEnd,

  permissionAdvice(): undefined {},
};
