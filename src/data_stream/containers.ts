/**
 * Lists, sets, maps and pairs, of any types.
 *
 * @module
 */

import type { Codec } from "./codec.ts";
import type { Cursor } from "./cursor.ts";
import { wrongType } from "./misuse.ts";
import { type Status, STATUS } from "./versions.ts";

/**
 * Reads as many elements as a count says, or until one fails; the count alone allocates nothing. As in Qt a container is
 * read even after an error, which stays; and if it cannot be read whole, it is empty.
 */
function readElements<C>(cursor: Cursor, make: () => C, readOne: (container: C) => void): C {
  const container = make();
  if (!cursor.enter()) return container;
  const before: Status = cursor.status;
  if (before !== STATUS.Ok && cursor.transactions === 0) cursor.setStatus(STATUS.Ok);
  let count = cursor.readCount();
  while (count > 0 && cursor.status === STATUS.Ok) {
    readOne(container);
    count--;
  }
  const failed = cursor.status !== STATUS.Ok;
  if (before !== STATUS.Ok) cursor.setStatus(before);
  cursor.leave();
  return failed ? make() : container;
}

function writeElements<E>(cursor: Cursor, count: number, elements: Iterable<E>, writeOne: (element: E) => void): void {
  cursor.enter();
  if (cursor.writeSize(count)) {
    for (const element of elements) writeOne(element);
  }
  cursor.leave();
}

/** Arrays. */
export function listOf<T>(name: string, element: Codec<T>): Codec<readonly T[]> {
  return {
    name,
    zero: [],
    read: (cursor) => readElements<T[]>(cursor, () => [], (list) => void list.push(element.read(cursor))),
    write(cursor, value) {
      if (!Array.isArray(value)) throw wrongType(name, "an array", value);
      writeElements(cursor, value.length, value, (item) => element.write(cursor, item));
    },
  };
}

/** Sets; arrays may be written too. */
export function setOf<T>(name: string, element: Codec<T>): Codec<ReadonlySet<T>> {
  return {
    name,
    zero: new Set(),
    read: (cursor) => readElements(cursor, () => new Set<T>(), (set) => void set.add(element.read(cursor))),
    write(cursor, value) {
      if (!(value instanceof Set) && !Array.isArray(value)) throw wrongType(name, "a Set or an array", value);
      writeElements(cursor, value instanceof Set ? value.size : value.length, value, (item) => element.write(cursor, item));
    },
  };
}

type Pair<K, V> = readonly [key: K, value: V];

function isPair(value: unknown): value is Pair<unknown, unknown> {
  return Array.isArray(value) && value.length === 2;
}

/** Qt writes its maps in the order of their keys. Those that are equal stay in theirs. */
function sorted<K, V>({ compare }: Codec<K>, pairs: Pair<K, V>[]): Pair<K, V>[] {
  if (compare === undefined) return pairs;
  const inOrder = pairs.every(([key], i) => i === 0 || compare(pairs[i - 1]![0], key) <= 0);
  return inOrder ? pairs : pairs.sort(([a], [b]) => compare(a, b));
}

function writePairs<K, V>(cursor: Cursor, key: Codec<K>, value: Codec<V>, pairs: readonly Pair<K, V>[]): void {
  writeElements(cursor, pairs.length, pairs, (pair) => {
    key.write(cursor, pair[0]);
    value.write(cursor, pair[1]);
  });
}

/** Maps: of several values for a key the last one stays, as in Qt. */
export function mapOf<K, V>(name: string, key: Codec<K>, value: Codec<V>, order: "sorted" | "any"): Codec<ReadonlyMap<K, V>> {
  return {
    name,
    zero: new Map(),
    read(cursor) {
      return readElements(cursor, () => new Map<K, V>(), (map) => {
        const k = key.read(cursor);
        map.set(k, value.read(cursor));
      });
    },
    write(cursor, map) {
      if (!(map instanceof Map)) throw wrongType(name, "a Map", map);
      const pairs: Pair<K, V>[] = [...map];
      writePairs(cursor, key, value, order === "sorted" ? sorted(key, pairs) : pairs);
    },
  };
}

/** Maps of several values for a key: pairs, in the order of the wire. */
export function multiMapOf<K, V>(name: string, key: Codec<K>, value: Codec<V>, order: "sorted" | "any"): Codec<readonly Pair<K, V>[]> {
  return {
    name,
    zero: [],
    read(cursor) {
      return readElements<Pair<K, V>[]>(cursor, () => [], (pairs) => void pairs.push([key.read(cursor), value.read(cursor)]));
    },
    write(cursor, pairs) {
      if (!Array.isArray(pairs) || !pairs.every(isPair)) throw wrongType(name, "an array of pairs", pairs);
      writePairs(cursor, key, value, order === "sorted" ? sorted(key, [...pairs]) : pairs);
    },
  };
}

/** Two values: an array of two. */
export function pairOf<A, B>(name: string, first: Codec<A>, second: Codec<B>): Codec<readonly [A, B]> {
  return {
    name,
    zero: [first.zero, second.zero],
    read(cursor) {
      const a = first.read(cursor);
      return [a, second.read(cursor)];
    },
    write(cursor, value) {
      if (!isPair(value)) throw wrongType(name, "an array of two", value);
      first.write(cursor, value[0]);
      second.write(cursor, value[1]);
    },
  };
}
