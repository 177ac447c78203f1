/**
 * Loads the library at first use: which runtime, which file, the right version. Importing this does nothing.
 *
 * @module
 */

import { bun } from "./bun.ts";
import { deno } from "./deno.ts";
import { LoadError } from "./load_error.ts";
import { bundledPlaces, isSupportedPlatform, libraryPlaces } from "./locate.ts";
import type { Adapter, Functions, Group, GroupName, Place, Table } from "./native.ts";
import { hasNodeFfi, node } from "./node.ts";
import { process } from "./process.ts";
import { ABI_VERSION, SYMBOLS } from "./symbols.ts";

export { LoadError } from "./load_error.ts";

let adapter: Adapter | undefined;

function detect(): Adapter {
  // Deno and Bun claim to be a Node as well, so they are asked for first.
  if ((globalThis as { Deno?: { dlopen?: unknown } }).Deno?.dlopen !== undefined) return deno;
  return process().versions.bun !== undefined ? bun : node;
}

/** The adapter for the running runtime. */
export function runtime(): Adapter {
  return adapter ??= detect();
}

let libraryPath: string | undefined;

/** The path of the library that is in use, once one is. */
export function loadedPath(): string | undefined {
  return libraryPath;
}

interface Failure {
  readonly why: string;
  readonly cause?: unknown;
}

/** The first place whose library can be loaded and is of the right version. */
function firstGood(places: Iterable<Place>, failures: Failure[]): string | undefined {
  const { open, permissionAdvice } = runtime();
  for (const { path, condition, prepare } of places) {
    let isPrepared = false;
    try {
      prepare?.();
      isPrepared = true;
      const version = open(path, SYMBOLS.base).qshm_abi_version();
      if (version === ABI_VERSION) return path;
      failures.push({
        why: `"${path}" has interface version ${version}, this package needs ${ABI_VERSION}: ` +
          "install both from one release, or rebuild with `make -C c`",
      });
    } catch (error) {
      const advice = isPrepared ? permissionAdvice(error, path) : undefined;
      if (advice !== undefined) {
        throw new LoadError(`Cannot load "${path}": ${advice}`, false, { cause: error });
      }
      failures.push({ why: `"${path}": ${reason(error)}${condition === undefined ? "" : `; ${condition}`}`, cause: error });
    }
  }
  return undefined;
}

function reason(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  // These are the system loader's words where nothing may be run.
  return message.includes("failed to map segment") ? `${message} (is the file system mounted noexec?)` : message;
}

function load(): string {
  const { name, env, platform } = runtime();
  if (runtime() === node && !hasNodeFfi()) {
    throw new LoadError(
      `No foreign function interface in this runtime (Node ${process().versions.node}): ` +
        "use Node 26.9 or newer, Node 26.1 to 26.8 with --experimental-ffi, Deno, or Bun",
      true,
    );
  }
  if (!isSupportedPlatform(runtime()) && !env("QSHM_LIBRARY")) {
    throw new LoadError(`No library for this platform: ${platform()}`, true);
  }
  const failures: Failure[] = [];
  const path = firstGood(libraryPlaces(runtime()), failures) ?? firstGood(bundledPlaces(runtime()), failures);
  if (path !== undefined) return path;
  throw new LoadError(
    `Cannot load the native library in ${name}. Tried: ${failures.map(({ why }) => why).join("; ")}. ` +
      "In a checkout run `make -C c`; else set QSHM_LIBRARY to its path",
    false,
    { cause: failures.find(({ cause }) => cause !== undefined)?.cause },
  );
}

/**
 * Binds a group of symbols. Every module binds its own at first use, and keeps it in a variable of its own: so the
 * runtimes' compilers see through to the native function.
 */
export function native<G extends GroupName>(name: G): Group<G> {
  return bind(SYMBOLS[name] as Table) as unknown as Group<G>;
}

/** Binds any table of symbols of the library in use. */
export function bind<T extends Table>(table: T): Functions<T> {
  libraryPath ??= load();
  return runtime().open(libraryPath, table);
}
