/**
 * Lists, sets, maps and pairs, of any types.
 *
 * @module
 */

import type { Codec } from "./codec.ts";
import type { Cursor } from "./cursor.ts";
import { wrongType } from "./misuse.ts";
import { STATUS } from "./versions.ts";

/*
 * A container is read until its count, or until an element fails: the count itself allocates nothing. One that cannot be
 * read whole is empty.
 */

/** Arrays. */
export function listOf<T>(name: string, element: Codec<T>): Codec<readonly T[]> {
  return {
    name,
    zero: [],
    read(cursor) {
      if (!cursor.enter()) return [];
      const before = cursor.beginContainer();
      let count = cursor.readCount();
      const list: T[] = element.readAll?.(cursor, count) ?? [];
      for (count -= list.length; count > 0 && cursor.status === STATUS.Ok; count--) list.push(element.read(cursor));
      return cursor.endContainer(before) ? list : [];
    },
    write(cursor, value) {
      if (!Array.isArray(value)) throw wrongType(name, "an array", value);
      cursor.enter();
      if (!cursor.writeSize(value.length)) return cursor.leave();
      if (element.writeAll !== undefined) element.writeAll(cursor, value);
      else for (const item of value) element.write(cursor, item);
      cursor.leave();
    },
  };
}

/** Sets; arrays may be written too. */
export function setOf<T>(name: string, element: Codec<T>): Codec<ReadonlySet<T>> {
  return {
    name,
    zero: new Set(),
    read(cursor) {
      const set = new Set<T>();
      if (!cursor.enter()) return set;
      const before = cursor.beginContainer();
      for (let count = cursor.readCount(); count > 0 && cursor.status === STATUS.Ok; count--) set.add(element.read(cursor));
      return cursor.endContainer(before) ? set : new Set();
    },
    write(cursor, value) {
      if (!(value instanceof Set) && !Array.isArray(value)) throw wrongType(name, "a Set or an array", value);
      cursor.enter();
      if (cursor.writeSize(value instanceof Set ? value.size : value.length)) {
        for (const item of value) element.write(cursor, item);
      }
      cursor.leave();
    },
  };
}

type Pair<K, V> = readonly [key: K, value: V];

function isPair(value: unknown): value is Pair<unknown, unknown> {
  return Array.isArray(value) && value.length === 2;
}

/** Qt writes its maps in the order of their keys. Those that are equal stay in theirs. */
function sorted<K, V>({ compare }: Codec<K>, pairs: Iterable<Pair<K, V>>): Iterable<Pair<K, V>> {
  if (compare === undefined) return pairs;
  let last: Pair<K, V> | undefined;
  for (const pair of pairs) {
    if (last !== undefined && compare(last[0], pair[0]) > 0) return [...pairs].sort(([a], [b]) => compare(a, b));
    last = pair;
  }
  return pairs;
}

/** The size is that of the pairs. */
function writePairs<K, V>(cursor: Cursor, size: number, key: Codec<K>, value: Codec<V>, pairs: Iterable<Pair<K, V>>): void {
  cursor.enter();
  if (cursor.writeSize(size)) {
    for (const [k, v] of pairs) {
      key.write(cursor, k);
      value.write(cursor, v);
    }
  }
  cursor.leave();
}

/** To Qt, null and empty strings are the same key. */
function keyIn<K>(map: ReadonlyMap<K, unknown>, key: K): K {
  const same = (key === null ? "" : key === "" ? null : key) as K;
  return same !== key && map.has(same) ? same : key;
}

/** Maps: of several values for a key the last one stays, as in Qt. */
export function mapOf<K, V>(name: string, key: Codec<K>, value: Codec<V>, order: "sorted" | "any"): Codec<ReadonlyMap<K, V>> {
  return {
    name,
    zero: new Map(),
    read(cursor) {
      const map = new Map<K, V>();
      if (!cursor.enter()) return map;
      const before = cursor.beginContainer();
      for (let count = cursor.readCount(); count > 0 && cursor.status === STATUS.Ok; count--) {
        const k = keyIn(map, key.read(cursor));
        map.set(k, value.read(cursor));
      }
      return cursor.endContainer(before) ? map : new Map();
    },
    write(cursor, map) {
      if (!(map instanceof Map)) throw wrongType(name, "a Map", map);
      writePairs(cursor, map.size, key, value, order === "sorted" ? sorted(key, map) : map);
    },
  };
}

/** Maps of several values for a key: pairs, in the order of the wire. */
export function multiMapOf<K, V>(name: string, key: Codec<K>, value: Codec<V>, order: "sorted" | "any"): Codec<readonly Pair<K, V>[]> {
  return {
    name,
    zero: [],
    read(cursor) {
      const pairs: Pair<K, V>[] = [];
      if (!cursor.enter()) return pairs;
      const before = cursor.beginContainer();
      for (let count = cursor.readCount(); count > 0 && cursor.status === STATUS.Ok; count--) {
        pairs.push([key.read(cursor), value.read(cursor)]);
      }
      return cursor.endContainer(before) ? pairs : [];
    },
    write(cursor, pairs) {
      if (!Array.isArray(pairs) || !pairs.every(isPair)) throw wrongType(name, "an array of pairs", pairs);
      writePairs(cursor, pairs.length, key, value, order === "sorted" ? sorted(key, pairs) : pairs);
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
