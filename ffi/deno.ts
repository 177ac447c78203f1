/**
 * Deno: `Deno.dlopen`. Works with `--allow-ffi=<library>` alone; only {@linkcode Adapter.view} needs all of
 * `--allow-ffi`. See https://docs.deno.com/runtime/fundamentals/ffi/.
 *
 * @module
 */

import { cachePlaces } from "./deno_cache.ts";
import { onDenoEnd, onDenoExit } from "./deno_end.ts";
import type { Adapter, Address, Functions, LibraryCopy, Place, Table, Timer } from "./native.ts";
import { ENDING_SIGNALS, FIFO, listenByNet, type Net, nextTurn } from "./process.ts";
import type { Word } from "./symbols.ts";

interface DenoRuntime {
  dlopen(path: string, symbols: Record<string, { parameters: string[]; result: string }>): { symbols: unknown };
  UnsafePointerView: new (pointer: Address) => { getArrayBuffer(size: number): ArrayBuffer };
  permissions: { querySync(descriptor: { name: "env"; variable: string }): { state: string } };
  env: { get(name: string): string | undefined };
  args: readonly string[];
  exit(code: number): void;
  build: { os: string; arch: string };
  refTimer(timer: number): void;
  unrefTimer(timer: number): void;
  errors: { NotCapable: new () => Error; PermissionDenied: new () => Error };
}

const WORDS: Readonly<Record<Word, string>> = {
  u32: "u32",
  i32: "i32",
  f64: "f64",
  in: "buffer",
  out: "buffer",
  address: "pointer",
};

function runtime(): DenoRuntime {
  return (globalThis as unknown as { Deno: DenoRuntime }).Deno;
}

/** The adapter for Deno. */
export const deno: Adapter = {
  name: "deno",

  open<T extends Table>(path: string, table: T): Functions<T> {
    const symbols = Object.fromEntries(
      Object.entries(table).map(([name, { parameters, result }]) => [
        name,
        { parameters: parameters.map((word) => WORDS[word]), result: WORDS[result] },
      ]),
    );
    return runtime().dlopen(path, symbols).symbols as Functions<T>;
  },

  view(address: Address, size: number): ArrayBuffer {
    return new (runtime().UnsafePointerView)(address).getArrayBuffer(size);
  },

  copies(copy: LibraryCopy): Place[] {
    return cachePlaces(copy, deno.env);
  },

  platform(): string {
    const { os, arch } = runtime().build;
    const architectures: Record<string, string> = { x86_64: "x64", aarch64: "arm64" };
    return `${os}-${architectures[arch] ?? arch}`;
  },

  startTimer(f: () => void, ms: number, keepAlive: boolean): Timer {
    const timer = setTimeout(f, ms) as unknown as number;
    if (!keepAlive) runtime().unrefTimer(timer);
    return {
      cancel: () => clearTimeout(timer),
      keepAlive: (keepAlive) => keepAlive ? runtime().refTimer(timer) : runtime().unrefTimer(timer),
    };
  },

  nextTurn,
  bellKind: FIFO,

  listen(fd: number, ring: () => void, broken: () => void): () => void {
    // Imported on first use: it takes milliseconds. Until it is there, what rings waits in the FIFO.
    let close: (() => void) | undefined;
    let closed = false;
    const name = "node:net";
    import(name).then((net: Net) => {
      close = listenByNet(net, fd, ring, broken);
      if (closed) close();
    }).catch(() => closed || broken());
    return () => {
      closed = true;
      close?.();
    };
  },

  env(name: string): string | undefined {
    // Reading without a grant would ask the user.
    const { state } = runtime().permissions.querySync({ name: "env", variable: name });
    return state === "granted" ? runtime().env.get(name) : undefined;
  },

  args(): readonly string[] {
    return runtime().args;
  },

  exit(code: number): void {
    runtime().exit(code);
  },

  onExit: onDenoExit,
  onEnd: (hook) => onDenoEnd(ENDING_SIGNALS, hook),

  permissionAdvice(error: unknown, path?: string): string | undefined {
    const { NotCapable, PermissionDenied } = runtime().errors;
    if (!(error instanceof NotCapable || error instanceof PermissionDenied)) return undefined;
    return path === undefined ? "run Deno with --allow-ffi, without a path" : `run Deno with --allow-ffi=${path}`;
  },
};
