/**
 * Node: `node:ffi`, which is on by default since Node 26.9. See https://nodejs.org/api/ffi.html.
 *
 * @module
 */

import { finishCompiling } from "./node_compiler.ts";
import type { Adapter, Address, Functions, Table } from "./native.ts";
import { FIFO, listenByNet, type Net, nextTurn, onNodeEnd, process, startNodeTimer } from "./process.ts";
import type { Word } from "./symbols.ts";

interface NodeFfi {
  dlopen(path: string, symbols: Record<string, { arguments: string[]; return: string }>): { functions: unknown };
  toArrayBuffer(pointer: Address, size: number, copy: boolean): ArrayBuffer;
}

const WORDS: Readonly<Record<Word, string>> = {
  u32: "u32",
  i32: "i32",
  f64: "f64",
  in: "buffer",
  out: "buffer",
  address: "pointer",
};

let module: NodeFfi | undefined;

/** Is there a module? Not in a Node that is too old, or was started without it. */
export function hasNodeFfi(): boolean {
  module ??= withoutExperimentalWarning(() => process().getBuiltinModule?.("node:ffi")) as NodeFfi | undefined;
  return module !== undefined;
}

/** Node warns once at this first access, and has no option to silence a single warning from within. */
function withoutExperimentalWarning<T>(f: () => T): T {
  const current = process();
  const { emitWarning } = current;
  current.emitWarning = () => {};
  try {
    return f();
  } finally {
    current.emitWarning = emitWarning;
  }
}

/** The adapter for Node. */
export const node: Adapter = {
  name: "node",

  open<T extends Table>(path: string, table: T): Functions<T> {
    const symbols = Object.fromEntries(
      Object.entries(table).map(([name, { parameters, result }]) => [
        name,
        { arguments: parameters.map((word) => WORDS[word]), return: WORDS[result] },
      ]),
    );
    return module!.dlopen(path, symbols).functions as Functions<T>;
  },

  view(address: Address, size: number): ArrayBuffer {
    return module!.toArrayBuffer(address, size, false);
  },

  platform(): string {
    return `${process().platform}-${process().arch}`;
  },

  startTimer: startNodeTimer,
  nextTurn,
  bellKind: FIFO,

  listen(fd: number, ring: () => void, broken: () => void): () => void {
    return listenByNet(process().getBuiltinModule!("node:net") as Net, fd, ring, broken);
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
    process().on("exit", () => {
      hook();
      finishCompiling();
    });
  },

  onEnd: onNodeEnd,

  permissionAdvice(error: unknown): string | undefined {
    return (error as { code?: unknown } | undefined)?.code === "ERR_ACCESS_DENIED"
      ? "run Node with --allow-ffi, or without --permission"
      : undefined;
  },
};
