/**
 * The part of Node's `node:fs` that the command uses: all three runtimes have it, none of their typings is needed.
 * Deno takes 20 ms to load it, so it is imported where it is needed, and not by `run`.
 */
declare module "node:fs" {
  /** What the functions throw. */
  interface SystemError extends Error {
    readonly code: string;
  }

  interface Stats {
    readonly mode: number;
    readonly uid: number;
    readonly gid: number;
    readonly size: number;
  }

  interface StatFs {
    readonly bsize: number;
    readonly blocks: number;
    readonly bavail: number;
    readonly files: number;
    readonly ffree: number;
  }

  function accessSync(path: string, mode: number): void;
  function closeSync(fd: number): void;
  function fstatSync(fd: number): Stats;
  function lstatSync(path: string): Stats;
  function openSync(path: string, flags: "r"): number;
  function readdirSync(path: string): string[];
  function readFileSync(path: string, encoding: "utf8"): string;
  function readlinkSync(path: string): string;
  function readSync(fd: number, bytes: Uint8Array, offset: number, length: number, position: number): number;
  function realpathSync(path: string): string;
  function statfsSync(path: string): StatFs;
  function write(fd: number, bytes: Uint8Array, done: (error: SystemError | null, written: number) => void): void;
  function writeSync(fd: number, bytes: Uint8Array): number;
}
