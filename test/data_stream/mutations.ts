/**
 * Reads mutated inputs, in whatever runtime this is: whatever the bytes are, a stream ends in one of Qt's statuses, at or
 * before its end. What was read without an error can be written, and then reads the same again. What is written to a stream
 * that reads fails. Arguments: how many inputs, a seed. One JSON line.
 */

import { readFileSync } from "node:fs";
import { QDataStream } from "../../src/data_stream/mod.ts";
import { Random } from "../support/random.ts";
import { bytesOf, hexOf, show } from "./values.ts";

const [inputs, seed] = process.argv.slice(2).map(Number) as [number, number];
const random = new Random(seed);
const VERSIONS = [12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22];
/** Sizes, counts and numbers of types that decide something. */
const WORDS = ["ffffffff", "fffffffe", "fffffffefffffffffffffffe", "80000000", "00000009", "0000000a", "00000029", "00000400", "00010000", "7fffffff"];

const vectors: readonly { readonly type: string; readonly hex: string }[] = ["qdatastream", "qdatastream-more", "qdatastream-errors"]
  .flatMap((name) => JSON.parse(readFileSync(new URL(`../interop/golden/${name}.json`, import.meta.url), "utf8")))
  .filter(({ type }: { type: string }) => type !== "sequence");

function mutated(hex: string): number[] {
  const bytes = [...bytesOf(hex)];
  for (let changes = random.below(4); changes >= 0; changes--) {
    const at = random.below(bytes.length + 1);
    switch (random.below(6)) {
      case 0: bytes[at] = random.below(256); break;
      case 1: bytes.splice(at, random.below(5)); break;
      case 2: bytes.splice(at, 0, ...bytesOf(random.of(vectors).hex)); break;
      case 3: bytes.splice(at, 4, ...bytesOf(random.of(WORDS))); break;
      case 4: bytes.splice(at, 4, 0, 0, 0, random.below(70)); break;
      case 5: bytes.length = Math.min(at, bytes.length); break;
    }
  }
  return bytes;
}

function settings(): (bytes?: Uint8Array) => QDataStream {
  const version = random.of(VERSIONS);
  const order = random.of([0, 1] as const);
  const precision = random.of([0, 1] as const);
  return (bytes) => new QDataStream(bytes).setVersion(version).setByteOrder(order).setFloatingPointPrecision(precision);
}

const reading = { Ok: 0, ReadPastEnd: 0, ReadCorruptData: 0, SizeLimitExceeded: 0 };
const writing = { Ok: 0, WriteFailed: 0 };
const failures: string[] = [];
const STATUSES = ["Ok", "ReadPastEnd", "ReadCorruptData", "WriteFailed", "SizeLimitExceeded"] as const;

function check(what: () => string, holds: boolean): void {
  if (!holds && failures.length < 20) failures.push(what());
}

function tryOne(): void {
  const vector = random.of(vectors);
  const bytes = Uint8Array.from(mutated(vector.hex));
  const { type } = random.below(4) > 0 ? vector : random.of(vectors);
  const make = settings();
  const stream = make(bytes);
  const where = (): string => `${type} ${hexOf(bytes)} of version ${stream.version()}`;
  const value = stream.read(type);
  const status = STATUSES[stream.status()];
  if (status === "WriteFailed" || status === undefined) return check(() => `${where()}: status ${stream.status()}`, false);
  reading[status]++;
  check(() => `${where()}: at ${stream.pos()} of ${bytes.length}`, stream.pos() >= 0 && stream.pos() <= bytes.length);
  if (status !== "Ok") return;
  stream.write(type, value); // to a stream that reads
  check(() => `${where()}: written to its own stream`, stream.status() === QDataStream.WriteFailed);
  writing.WriteFailed++;
  const out = make().write(type, value);
  check(() => `${where()}: status ${out.status()} when written again`, out.status() === QDataStream.Ok);
  writing.Ok++;
  const again = make(out.bytes());
  const other = again.read(type);
  const same = type.startsWith("QMultiMap") || show(value) === show(other); // writing brings the keys into order
  const whole = again.status() === QDataStream.Ok && again.atEnd() && hexOf(make().write(type, other).bytes()) === hexOf(out.bytes());
  check(() => `${where()}: read ${show(value)}, written ${hexOf(out.bytes())}, and read ${show(other)}`, same && whole);
}

for (let i = 0; i < inputs; i++) {
  try {
    tryOne();
  } catch (error) {
    check(() => `input ${i}: ${(error as Error).stack}`, false);
  }
}
console.log(JSON.stringify({ inputs, reading, writing, failures, memory: process.memoryUsage().rss }));
