/**
 * `process`, as far as all three runtimes have it and this package needs it, so that no runtime's typings are needed.
 *
 * @module
 */

/** The part of Node's `process` that is used. */
export interface Process {
  readonly pid: number;
  readonly platform: string;
  readonly arch: string;
  readonly versions: Readonly<Record<string, string | undefined>>;
  readonly env: Readonly<Record<string, string | undefined>>;
  emitWarning: (...warning: unknown[]) => void;
  on(event: "exit", listener: () => void): void;
  /** Synchronous; `undefined` for what the runtime does not have. Absent in old versions of Node. */
  getBuiltinModule?(name: string): unknown;
}

/** The running process. */
export const process: Process = (globalThis as unknown as { process: Process }).process;
