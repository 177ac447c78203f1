/**
 * The copy of the library that Deno loads where the package came over the network: Deno keeps such modules where they have
 * no path, and the system loads libraries only from files. It is written once for each version, to a directory of mode
 * 0700, and compared with what it must be before every use; whoever could change it between that and the loading is the same
 * user.
 *
 * @module
 */

import { LoadError } from "./load_error.ts";
import type { LibraryCopy, Place } from "./native.ts";

interface FileInfo {
  readonly isFile: boolean;
  readonly isDirectory: boolean;
  readonly isSymlink: boolean;
  readonly uid: number | null;
  readonly mode: number | null;
  readonly nlink: number | null;
}

interface DenoFiles {
  permissions: { querySync(descriptor: { name: string; path?: string; kind?: string }): { state: string } };
  errors: { NotFound: new () => Error; PermissionDenied: new () => Error };
  uid(): number | null;
  lstatSync(path: string): FileInfo;
  mkdirSync(path: string, options: { recursive: boolean; mode: number }): void;
  readFileSync(path: string): Uint8Array;
  writeFileSync(path: string, bytes: Uint8Array, options: { createNew: boolean; mode: number }): void;
  renameSync(from: string, to: string): void;
  removeSync(path: string): void;
}

/** Decoding and encoding by the engine: in JavaScript it would take 15 ms at every start. */
interface Base64 {
  fromBase64(text: string): Uint8Array;
}

function files(): DenoFiles {
  return (globalThis as unknown as { Deno: DenoFiles }).Deno;
}

const OTHERS = 0o077;

/** The places where a copy may be kept, best first. What is not granted is not tried, and nobody is asked for it. */
export function cachePlaces(copy: LibraryCopy, env: (name: string) => string | undefined): Place[] {
  const directories = candidates(env);
  const granted = directories.filter((directory) => needs(directory).every(isGranted));
  if (granted.length === 0) {
    const directory = directories[0]!;
    const flags = needs(directory).map(({ name }) => `--allow-${name}=${directory}`);
    throw new LoadError(
      `Cannot keep a copy of the native library, which came with the module, in "${directory}": run Deno with ${flags.join(" ")}`,
      false,
    );
  }
  return granted.map((directory) => {
    const path = `${directory}/${copy.sha256}.so`;
    return { path, prepare: () => prepare(directory, path, copy.base64) };
  });
}

function candidates(env: (name: string) => string | undefined): string[] {
  const cache = env("XDG_CACHE_HOME");
  const home = env("HOME");
  return [
    ...(cache?.startsWith("/") ? [`${cache}/qshm`] : []),
    ...(home?.startsWith("/") ? [`${home}/.cache/qshm`] : []),
    "/tmp/qshm-cache", // whoever comes first has it; to know the user's id would take one more permission
  ];
}

function needs(path: string): { name: string; path: string }[] {
  return ["read", "write", "ffi"].map((name) => ({ name, path }));
}

function isGranted(permission: { name: string; path?: string; kind?: string }): boolean {
  return files().permissions.querySync(permission).state === "granted";
}

/** Makes sure that the copy is there, and is what it must be. */
function prepare(directory: string, path: string, base64: string): void {
  if (info(directory) === undefined) files().mkdirSync(directory, { recursive: true, mode: 0o700 });
  const owner = checkDirectory(directory);
  if (!isIntact(path, owner, base64)) write(path, base64);
}

function info(path: string): FileInfo | undefined {
  try {
    return files().lstatSync(path);
  } catch (error) {
    if (error instanceof files().errors.NotFound) return undefined;
    throw error;
  }
}

/** Refuses a directory that is not ours alone; gives our user id. */
function checkDirectory(directory: string): number | null {
  const { isDirectory, isSymlink, uid, mode } = info(directory)!;
  if (isSymlink) throw refused("is a symbolic link");
  if (!isDirectory) throw refused("is not a directory");
  if ((mode! & OTHERS) !== 0) throw refused("is open to other users");
  const me = ownId(directory);
  if (uid !== me) throw refused(`belongs to another user (${uid})`);
  return me;
}

function refused(why: string): Error {
  return new Error(`its directory ${why}, and is not used: remove it, or set XDG_CACHE_HOME and grant --allow-env=XDG_CACHE_HOME`);
}

/** This process's user id: as it is told, if that is granted, else as a file has it that we make. */
function ownId(directory: string): number | null | undefined {
  if (isGranted({ name: "sys", kind: "uid" })) return files().uid();
  const path = temporary(`${directory}/owner`);
  try {
    files().writeFileSync(path, new Uint8Array(), { createNew: true, mode: 0o600 });
  } catch (error) {
    if (error instanceof files().errors.PermissionDenied) return undefined; // not ours, then
    throw error;
  }
  try {
    return info(path)?.uid;
  } finally {
    files().removeSync(path);
  }
}

function isIntact(path: string, owner: number | null, base64: string): boolean {
  const found = info(path);
  if (found === undefined || !found.isFile || found.uid !== owner || found.nlink !== 1 || (found.mode! & OTHERS) !== 0) return false;
  return (files().readFileSync(path) as Uint8Array & { toBase64(): string }).toBase64() === base64;
}

/** Writes it whole, then gives it its name: others see all of it or nothing. */
function write(path: string, base64: string): void {
  const draft = temporary(path);
  const bytes = (Uint8Array as unknown as Base64).fromBase64(base64);
  try {
    files().writeFileSync(draft, bytes, { createNew: true, mode: 0o600 });
    files().renameSync(draft, path);
  } catch (error) {
    if (info(draft) !== undefined) files().removeSync(draft);
    throw error;
  }
}

function temporary(path: string): string {
  return `${path}.${crypto.randomUUID()}`;
}
