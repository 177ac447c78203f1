/**
 * How values of one type are read and written.
 *
 * @module
 */

import type { Cursor } from "./cursor.ts";

/** Reads and writes values of one of Qt's types. */
export interface Codec<T> {
  /** Qt's name of the type. */
  readonly name: string;
  /** What a null QVariant of the type holds. */
  readonly zero: T;
  /** Reads one; where that fails it sets the status, and gives what Qt gives. */
  read(cursor: Cursor): T;
  /** Writes one; throws if it is none. */
  write(cursor: Cursor, value: T): void;
  /** Reads so many at once, where that is faster: all, or an array that is not to be used. */
  readAll?(cursor: Cursor, count: number): T[];
  /** Writes all of them at once. */
  writeAll?(cursor: Cursor, values: readonly T[]): void;
  /** The order of keys in a QMap; without it they stay as they are. */
  compare?(a: T, b: T): number;
}

/** Smaller is before greater. */
export function ascending<T extends number | bigint | string | boolean>(a: T, b: T): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
