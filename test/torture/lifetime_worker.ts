/**
 * One of the processes that create, attach, open and detach the same names until they are killed, in any runtime.
 *
 * Said on stdout, each answered by a line: `h KEY NONCE` I am attached; `l KEY NONCE` I am about to detach; `v TEXT`
 * something is wrong. The answer `q` means: leave. All I/O is blocking, so that nothing but the library takes time.
 */

import { readSync, writeSync } from "node:fs";
import { AlreadyExistsError, BusyError, NotFoundError, SharedMemory } from "../../mod.ts";
import { Random } from "../support/random.ts";

const keys = process.argv[2]!.split(",");
const random = new Random(Number(process.argv[3]));
const SIZE = 64;
const answer = new Uint8Array(16);

function read(): number {
  for (;;) {
    try {
      return readSync(0, answer, 0, answer.length, null);
    } catch (error) {
      if ((error as { code?: string }).code !== "EAGAIN") throw error;
    }
  }
}

/** Says a line and waits for the answer. False: it is time to leave. */
function ask(line: string): boolean {
  writeSync(1, `${line}\n`);
  return read() > 0 && answer[0] !== "q".charCodeAt(0);
}

/** A segment's nonce: that of whoever came first. */
function nonceOf(memory: SharedMemory): number {
  const words = new Int32Array(memory.data.buffer, memory.data.byteOffset, 1);
  const mine = 1 + random.below(0x7ffffffe);
  return Atomics.compareExchange(words, 0, 0, mine) || mine;
}

const ways = [
  (key: string) => SharedMemory.tryCreate(key, SIZE),
  (key: string) => SharedMemory.tryAttach(key),
  (key: string) => SharedMemory.open(key, SIZE),
  (key: string) => SharedMemory.create(key, SIZE),
  (key: string) => SharedMemory.attach(key),
] as const;

function join(key: string): SharedMemory | undefined {
  try {
    return random.of(ways)(key);
  } catch (error) {
    if (error instanceof AlreadyExistsError || error instanceof NotFoundError || error instanceof BusyError) return;
    throw error;
  }
}

/** While somebody is attached, the name leads to that very segment. */
function checkAgain(key: string, nonce: number): boolean {
  try {
    using again = SharedMemory.attach(key);
    const found = nonceOf(again);
    return found === nonce || ask(`v two segments of ${key}: ${nonce} and ${found}`);
  } catch (error) {
    return error instanceof BusyError || ask(`v lost, while attached to ${key}: ${error}`);
  }
}

function round(): boolean {
  const index = random.below(keys.length);
  using memory = join(keys[index]!);
  if (memory === undefined) return true;
  const nonce = nonceOf(memory);
  let goOn = checkAgain(memory.key, nonce);
  if (goOn && random.below(16) === 0) {
    goOn = ask(`h ${index} ${nonce}`);
    goOn = checkAgain(memory.key, nonce) && goOn;
    goOn = ask(`l ${index} ${nonce}`) && goOn;
  }
  return goOn;
}

try {
  let goOn = true;
  while (goOn) goOn = round();
} catch (error) {
  ask(`v ${error instanceof Error ? error.stack?.replaceAll("\n", " | ") : error}`);
}
