/**
 * `process`, as far as Bun and Node have it and this package needs it, so that no runtime's typings are needed. Deno has
 * one too, but makes it on first use, which takes 12 ms: its adapter goes another way.
 *
 * @module
 */

/** The part of Node's `process` that is used. */
export interface Process {
  readonly platform: string;
  readonly arch: string;
  readonly versions: Readonly<Record<string, string | undefined>>;
  readonly argv: readonly string[];
  exit(code: number): void;
  readonly env: Readonly<Record<string, string | undefined>>;
  emitWarning: (...warning: unknown[]) => void;
  on(event: "exit", listener: () => void): void;
  /** Synchronous; `undefined` for what the runtime does not have. Absent in old versions of Node. */
  getBuiltinModule?(name: string): unknown;
}

/** The running process. */
export function process(): Process {
  return (globalThis as unknown as { process: Process }).process;
}

/** Node's timers, which unlike the web's can be told not to keep the process alive. */
export interface Timers {
  setTimeout(f: () => void, ms: number): { unref(): void };
  clearTimeout(timer: object): void;
}

/** Starts one of Node's timers; gives what calls it off. */
export function startNodeTimer(f: () => void, ms: number, ref: boolean): () => void {
  const { setTimeout, clearTimeout } = globalThis as unknown as Timers;
  const timer = setTimeout(f, ms);
  if (!ref) timer.unref();
  return () => clearTimeout(timer);
}
