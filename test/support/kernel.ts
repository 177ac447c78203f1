/** What the kernel and the files say of segments, seen from outside the library. */

import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, readSync, writeSync } from "node:fs";

/** Descriptors and mappings of a process that belong to a directory, or lie below it; removed files count as well. */
export function footprint(pid: number, directory: string): { descriptors: string[]; mappings: string[] } {
  const descriptors: string[] = [];
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    try {
      const target = readlinkSync(`/proc/${pid}/fd/${fd}`);
      if (target.startsWith(directory)) descriptors.push(target);
    } catch {
      // closed meanwhile
    }
  }
  const mappings = readFileSync(`/proc/${pid}/maps`, "utf8").split("\n").filter((line) => line.includes(directory));
  return { descriptors, mappings };
}

/** Where the lock's word stands in a segment's file (c/src/layout.h). */
const LOCK = 64;
const DIED = 1n << 63n;
const WAITERS = 1n << 31n;

/** The lock's word, taken apart. */
export interface LockWord {
  readonly owner: number;
  readonly heir: number;
  readonly waiters: boolean;
  readonly died: boolean;
}

/** Reads the lock's word from a segment's file. */
export function lockWord(path: string): LockWord {
  const bytes = new Uint8Array(8);
  const fd = openSync(path, "r");
  readSync(fd, bytes, 0, 8, LOCK);
  closeSync(fd);
  const word = new DataView(bytes.buffer).getBigUint64(0, true);
  return {
    owner: Number(word & 0x7fffffffn),
    heir: Number((word >> 32n) & 0x7fffffffn),
    waiters: (word & WAITERS) !== 0n,
    died: (word & DIED) !== 0n,
  };
}

/** Overwrites bytes of a segment's file, as a hostile or broken process would. */
export function poke(path: string, offset: number, bytes: Uint8Array): void {
  const fd = openSync(path, "r+");
  writeSync(fd, bytes, 0, bytes.length, offset);
  closeSync(fd);
}

/** Makes `id` the lock's owner. */
export function setLockOwner(path: string, id: number): void {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(id), true);
  poke(path, LOCK, bytes);
}

/** Reads bytes of a segment's file. */
export function peek(path: string, offset: number, size: number): DataView {
  const bytes = new Uint8Array(size);
  const fd = openSync(path, "r");
  readSync(fd, bytes, 0, size, offset);
  closeSync(fd);
  return new DataView(bytes.buffer);
}

/** Where the count of changes stands: its lowest bit is not of it. */
const REVISION = 128;

/** Makes a segment's revision this one; nobody may be waiting. */
export function setRevision(path: string, revision: number): void {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, revision * 2, true);
  poke(path, REVISION, bytes);
}

/** Where the table of bells stands, how many there are, and the size of one (c/src/layout.h). */
export const BELLS = { offset: 4096, count: 128, size: 32 } as const;

/** A used entry of the table of bells. */
export interface BellEntry {
  readonly index: number;
  readonly owner: number;
  readonly isArmed: boolean;
  /** The name of its file. */
  readonly name: string;
}

/** The used entries of the table of bells in a segment's file. */
export function bellEntries(path: string): BellEntry[] {
  const table = peek(path, BELLS.offset, BELLS.count * BELLS.size);
  return Array.from({ length: BELLS.count }, (_, index) => ({
    index,
    owner: table.getUint32(index * BELLS.size + 4, true),
    isArmed: table.getUint32(index * BELLS.size + 8, true) !== 0,
    name: `b.${table.getBigUint64(index * BELLS.size + 16, true).toString(16).padStart(16, "0")}`,
  })).filter(({ owner }) => owner !== 0);
}

/** Resolves once so many bells of a segment are armed: so many event loops sleep. */
export async function armed(path: string, count: number): Promise<void> {
  while (bellEntries(path).filter(({ isArmed }) => isArmed).length < count) await new Promise(setImmediate);
}
