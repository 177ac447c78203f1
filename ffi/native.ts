/**
 * What the rest of the package sees of the native library: typed functions by group, and the few things that only a
 * runtime can do. No runtime and no path is named here.
 *
 * @module
 */

import type { Signature, SYMBOLS, Word } from "./symbols.ts";

/** An address in the runtime's own form; only the adapter that gave it understands it. */
export type Address = { readonly address: unique symbol };

type Parameter = {
  u32: number;
  i32: number;
  f64: number;
  in: Uint8Array;
  out: Uint8Array;
  address: Address;
};
type Result = { u32: number; i32: number; f64: number; in: never; out: never; address: Address | null };

type Parameters<P extends readonly Word[]> = { -readonly [I in keyof P]: Parameter[P[I]] };

/** The TypeScript form of a signature. */
export type NativeFunction<S extends Signature> = (...parameters: Parameters<S["parameters"]>) => Result[S["result"]];

/** A table of signatures, such as one group of {@linkcode SYMBOLS}. */
export type Table = Readonly<Record<string, Signature>>;

/** The functions of a table. */
export type Functions<T extends Table> = { readonly [Name in keyof T]: NativeFunction<T[Name]> };

/** The names of the groups of {@linkcode SYMBOLS}. */
export type GroupName = keyof typeof SYMBOLS;

/** The functions of a group of {@linkcode SYMBOLS}. */
export type Group<G extends GroupName> = Functions<(typeof SYMBOLS)[G]>;

/** A place where the library may be. */
export interface Place {
  readonly path: string;
  /** What else has to be so that it can be loaded, for the message where it cannot. */
  readonly condition?: string;
  /** Makes sure that it is there; throws why it cannot be. */
  prepare?(): void;
}

/** A library, as it stands in the package that came over the network. */
export interface LibraryCopy {
  readonly sha256: string;
  readonly base64: string;
}

/** A timer that runs. */
export interface Timer {
  /** Calls it off. */
  cancel(): void;
  /** Does it keep the process alive? */
  keepAlive(keepAlive: boolean): void;
}

/** What an adapter provides: the translation of the above into one runtime's foreign function interface. */
export interface Adapter {
  readonly name: "deno" | "bun" | "node";
  /** Binds the functions of a table; throws what the runtime throws. */
  open<T extends Table>(path: string, table: T): Functions<T>;
  /** A zero-copy view of memory. Needs unscoped `--allow-ffi` in Deno. */
  view(address: Address, size: number): ArrayBuffer;
  /** The files as which a copy of the library may be kept; absent where the library always is a file. */
  copies?(copy: LibraryCopy): Iterable<Place>;
  /** Does it run from a single file that carries the library? Absent where it never does. */
  isExecutable?(): boolean;
  /** Is there a file? Absent where a module has no `require` that would run it. */
  isFile?(path: string): boolean;
  /** The running platform, such as `"linux-x64"`, in Node's words. */
  platform(): string;
  /** Calls `f` once after `ms`. */
  startTimer(f: () => void, ms: number, keepAlive: boolean): Timer;
  /** Calls `f` in the next turn of the event loop, after what is due in this one. */
  nextTurn(f: () => void): void;
  /** The kind of bell that {@linkcode Adapter.listen} takes: `enum qshm_bell`. */
  readonly bellKind: number;
  /**
   * Calls `ring` whenever there is something to read at a descriptor, which becomes the adapter's, and `broken` when there
   * never will be again. It does not keep the process alive. Gives what closes it.
   */
  listen(fd: number, ring: () => void, broken: () => void): () => void;
  /** An environment variable, if it may be read without asking the user. */
  env(name: string): string | undefined;
  /** The program's own arguments. */
  args(): readonly string[];
  /** Ends the process. */
  exit(code: number): void;
  /** Calls `hook` at the end of the process, as far as the runtime tells of it. */
  onExit(hook: () => void): void;
  /**
   * Calls `hook` when the process is about to end, before what {@linkcode Adapter.onExit} was given: by itself, by `exit()`, by an
   * uncaught error, or by SIGINT, SIGTERM or SIGHUP, which then take their course. It may be called more than once.
   */
  onEnd(hook: () => void): void;
  /**
   * What the user can do, if the runtime refused for want of permission: to load `path`, or, without one, to view
   * memory.
   */
  permissionAdvice(error: unknown, path?: string): string | undefined;
}
