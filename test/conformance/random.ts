/** Random cases that can be had again: a failure names its seed, and QSHM_SEED repeats it. */

import { Random } from "../support/random.ts";

function seed(): number {
  try {
    const given = Number(process.env.QSHM_SEED);
    if (Number.isInteger(given) && given > 0) return given;
  } catch {
    // Deno without permission to read the environment
  }
  return Math.floor(Math.random() * 0x7fffffff) + 1;
}

/** Some bytes. */
export function randomBytes(random: Random, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => random.below(256));
}

/** Runs `f` with random numbers; whatever it throws names the seed. */
export function withRandom(f: (random: Random) => void): void {
  const random = newRandom();
  try {
    f(random);
  } catch (error) {
    throw seeded(random, error);
  }
}

/** As `withRandom`, for what waits. */
export async function withRandomAsync(f: (random: Random) => Promise<void>): Promise<void> {
  const random = newRandom();
  try {
    await f(random);
  } catch (error) {
    throw seeded(random, error);
  }
}

function newRandom(): Random {
  const random = new Random(seed());
  console.error(`QSHM_SEED=${random.seed}`);
  return random;
}

function seeded({ seed }: Random, error: unknown): Error {
  return new Error(`With QSHM_SEED=${seed}: ${error instanceof Error ? error.stack : error}`, { cause: error });
}
