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
  const random = new Random(seed());
  console.error(`QSHM_SEED=${random.seed}`);
  try {
    f(random);
  } catch (error) {
    throw new Error(`With QSHM_SEED=${random.seed}: ${error instanceof Error ? error.stack : error}`, { cause: error });
  }
}
