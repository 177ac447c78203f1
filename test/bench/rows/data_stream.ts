/**
 * QDataStream, in one process: text, a map, and numbers become bytes, and values again. The rivals are what a program would
 * do without it: code by hand over a DataView that does the same for this one layout, and JSON in UTF-8.
 */

import { QDataStream } from "../../../src/data_stream/mod.ts";
import { interleave } from "../pairing.ts";
import type { CaseFactory, Group } from "../row.ts";

interface Way<T> {
  encode(value: T): Uint8Array;
  decode(bytes: Uint8Array): T;
}

interface Job<T> {
  readonly name: string;
  make(): T;
  readonly ways: Readonly<Record<"stream" | "hand" | "json", Way<T>>>;
}

const utf8 = new TextEncoder();
const utf8Decoder = new TextDecoder();

function json<T>(toJson: (value: T) => unknown, ofJson: (value: never) => T): Way<T> {
  return {
    encode: (value) => utf8.encode(JSON.stringify(toJson(value))),
    decode: (bytes) => ofJson(JSON.parse(utf8Decoder.decode(bytes)) as never),
  };
}

const stream = <T>(type: string): Way<T> => ({
  encode: (value) => new QDataStream().write(type, value).bytes(),
  decode: (bytes) => new QDataStream(bytes).read<T>(type),
});

function putText(view: DataView, at: number, text: string): number {
  view.setUint32(at, text.length * 2);
  for (let i = 0, to = at + 4; i < text.length; i++, to += 2) view.setUint16(to, text.charCodeAt(i));
  return at + 4 + text.length * 2;
}

function getText(view: DataView, at: number): string {
  const length = view.getUint32(at) / 2;
  let text = "";
  for (let i = 0, from = at + 4; i < length; i++, from += 2) text += String.fromCharCode(view.getUint16(from));
  return text;
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** 1 MiB of UTF-16 in strings of 64 units. */
const strings: Job<string[]> = {
  name: "1 MiB of QStrings",
  make: () => Array.from({ length: 8192 }, (_, i) => `string number ${i} `.padEnd(64, "abcdefghij")),
  ways: {
    stream: stream("QStringList"),
    json: json((value) => value, (value) => value),
    hand: {
      encode(value) {
        const bytes = new Uint8Array(value.reduce((size, text) => size + 4 + text.length * 2, 4));
        const view = viewOf(bytes);
        view.setUint32(0, value.length);
        value.reduce((at, text) => putText(view, at, text), 4);
        return bytes;
      },
      decode(bytes) {
        const view = viewOf(bytes);
        const value: string[] = [];
        for (let i = 0, at = 4; i < view.getUint32(0); i++) {
          const text = getText(view, at);
          value.push(text);
          at += 4 + text.length * 2;
        }
        return value;
      },
    },
  },
};

const map: Job<Map<string, number>> = {
  name: "QMap of 10,000 entries",
  make: () => new Map(Array.from({ length: 10_000 }, (_, i) => [`key${String(i).padStart(6, "0")}`, i])),
  ways: {
    stream: stream("QMap<QString,qint32>"),
    json: json((value) => Object.fromEntries(value), (value) => new Map(Object.entries<number>(value))),
    hand: {
      encode(value) {
        let size = 4;
        for (const key of value.keys()) size += 8 + key.length * 2;
        const bytes = new Uint8Array(size);
        const view = viewOf(bytes);
        view.setUint32(0, value.size);
        let at = 4;
        for (const [key, number] of value) {
          at = putText(view, at, key);
          view.setInt32(at, number);
          at += 4;
        }
        return bytes;
      },
      decode(bytes) {
        const view = viewOf(bytes);
        const value = new Map<string, number>();
        for (let i = 0, at = 4; i < view.getUint32(0); i++) {
          const key = getText(view, at);
          at += 4 + key.length * 2;
          value.set(key, view.getInt32(at));
          at += 4;
        }
        return value;
      },
    },
  },
};

const numbers: Job<number[]> = {
  name: "100,000 int32",
  make: () => Array.from({ length: 100_000 }, (_, i) => Math.imul(i, 0x9e3779b1)),
  ways: {
    stream: stream("QList<qint32>"),
    json: json((value) => value, (value) => value),
    hand: {
      encode(value) {
        const bytes = new Uint8Array(4 + value.length * 4);
        const view = viewOf(bytes);
        view.setUint32(0, value.length);
        for (let i = 0; i < value.length; i++) view.setInt32(4 + i * 4, value[i]!);
        return bytes;
      },
      decode(bytes) {
        const view = viewOf(bytes);
        const value: number[] = [];
        for (let i = 0; i < view.getUint32(0); i++) value.push(view.getInt32(4 + i * 4));
        return value;
      },
    },
  },
};

function casesFor<T>({ name, make, ways }: Job<T>): Readonly<Record<string, CaseFactory>> {
  const [wanted, ...others] = Object.values(ways).map((way) => JSON.stringify(way.decode(way.encode(make())), (_, v) => (v instanceof Map ? [...v] : v)));
  if (others.some((other) => other !== wanted)) throw new Error(`${name}: not all ways give the same`);
  return Object.fromEntries(Object.entries(ways).flatMap(([way, { encode, decode }]): [string, CaseFactory][] => [
    [subject(name, way, "encode"), () => {
      const value = make();
      return (count) => {
        for (let i = 0; i < count; i++) encode(value);
      };
    }],
    [subject(name, way, "decode"), () => {
      const bytes = encode(make());
      return (count) => {
        for (let i = 0; i < count; i++) decode(bytes);
      };
    }],
  ]));
}

const subject = (name: string, way: string, what: string): string => `js.${way}.${what}.${name.replaceAll(" ", "_")}`;

const NAMES = [strings.name, map.name, numbers.name];

/** See {@linkcode CaseFactory}. */
export const cases: Readonly<Record<string, CaseFactory>> = { ...casesFor(strings), ...casesFor(map), ...casesFor(numbers) };

/** See {@linkcode Group}. */
export const dataStreamGroup: Group = {
  name: "QDataStream",
  rows: NAMES.flatMap((name) => ["encode", "decode"].flatMap((what) => [
    { name: `${what} ${name} / by hand`, ours: subject(name, "stream", what), rival: subject(name, "hand", what) },
    { name: `${what} ${name} / JSON`, ours: subject(name, "stream", what), rival: subject(name, "json", what) },
  ])),
  measure: (plan) => interleave("data_stream", plan),
};
