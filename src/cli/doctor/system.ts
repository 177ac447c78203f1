/**
 * What the checks ask the operating system. Tests put another one in its place.
 *
 * @module
 */

/** The operating system. What cannot be read is `undefined`. */
export interface System {
  readonly uid: number;
  readonly groups: readonly number[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** A file's text. */
  read(path: string): string | undefined;
  /** The names in a directory. */
  names(path: string): readonly string[];
  /** What stands at a path; a link is not followed. */
  look(path: string): Look;
  /** What a link says. */
  target(path: string): string | undefined;
  /** A path without links. */
  resolve(path: string): string | undefined;
  /** May a directory be written to? Else the error's name. */
  writable(path: string): true | string;
  /** Bytes and files of a file system. */
  space(path: string): Space | undefined;
}

/** What stands at a path, or the error's name. */
export type Look =
  | { readonly type: "directory" | "link" | "file" | "other"; readonly mode: number; readonly uid: number; readonly gid: number }
  | { readonly type: "error"; readonly code: string };

/** How much room a file system has. */
export interface Space {
  readonly total: number;
  readonly free: number;
  /** Is there no room for another file, whatever its size? */
  readonly filesExhausted: boolean;
}

const TYPE = 0o170000;
const TYPES: Readonly<Record<number, "directory" | "link" | "file">> = {
  0o040000: "directory",
  0o120000: "link",
  0o100000: "file",
};
/** `W_OK | X_OK` of access(2). */
const WRITE_AND_SEARCH = 3;

/** The running one. */
export async function theSystem(): Promise<System> {
  const fs = await import("node:fs");
  const { default: process } = await import("node:process");
  const attempt = <T>(read: () => T): T | undefined => {
    try {
      return read();
    } catch {
      return undefined;
    }
  };
  return {
    uid: process.geteuid(),
    groups: [process.getegid(), ...process.getgroups()],
    environment: process.env,
    read: (path) => attempt(() => fs.readFileSync(path, "utf8")),
    names: (path) => attempt(() => fs.readdirSync(path)) ?? [],
    target: (path) => attempt(() => fs.readlinkSync(path)),
    resolve: (path) => attempt(() => fs.realpathSync(path)),
    look(path) {
      try {
        const { mode, uid, gid } = fs.lstatSync(path);
        return { type: TYPES[mode & TYPE] ?? "other", mode: mode & 0o7777, uid, gid };
      } catch (error) {
        return { type: "error", code: codeOf(error) };
      }
    },
    writable(path) {
      try {
        fs.accessSync(path, WRITE_AND_SEARCH);
        return true;
      } catch (error) {
        return codeOf(error);
      }
    },
    space: (path) =>
      attempt(() => {
        const { bsize, blocks, bavail, files, ffree } = fs.statfsSync(path);
        return { total: bsize * blocks, free: bsize * bavail, filesExhausted: files > 0 && ffree === 0 };
      }),
  };
}

function codeOf(error: unknown): string {
  return (error as { code?: string }).code ?? String(error);
}
