/**
 * Who a process is.
 *
 * @module
 */

/** A process, as the kernel knows it. */
export interface ProcessInfo {
  /** `undefined`: the process is gone, or cannot be seen from here (another PID namespace, another user). */
  readonly pid: number | undefined;
  /** When it started, to 10 ms; `undefined` where `pid` is. */
  readonly startedAt: Date | undefined;
  /** Does it live? The kernel's word, also for processes that cannot be seen. */
  readonly alive: boolean;
}

/** Which attachment an object that was handed out stands for; it is not public, and cannot be forged. */
export interface Identity {
  readonly id: number;
  /** The random number of its segment: ids are small, and mean nothing in another one. */
  readonly segment: bigint;
}

const identities = new WeakMap<ProcessInfo, Identity>();

/** Makes the public object. `pid` and `started` (ms since 1970) are 0 if unknown. */
export function processInfo(identity: Identity, pid: number, started: number, alive: boolean): ProcessInfo {
  const info: ProcessInfo = Object.freeze({
    pid: pid === 0 ? undefined : pid,
    startedAt: started === 0 ? undefined : new Date(started),
    alive,
  });
  identities.set(info, identity);
  return info;
}

/** The identity behind a {@linkcode ProcessInfo}, or `undefined` if this module did not make it. */
export function identityOf(info: ProcessInfo): Identity | undefined {
  return identities.get(info);
}

/** Bytes of `struct qshm_process`. */
export const PROCESS_SIZE = 32;

/** Reads a `struct qshm_process`. */
export function readProcess(bytes: Uint8Array): ProcessInfo {
  const fields = new DataView(bytes.buffer, bytes.byteOffset, PROCESS_SIZE);
  return processInfo(
    { id: fields.getUint32(0, true), segment: fields.getBigUint64(24, true) },
    fields.getUint32(4, true),
    fields.getFloat64(16, true),
    fields.getUint32(8, true) !== 0,
  );
}
