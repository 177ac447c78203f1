/** Random numbers that can be had again: every random test takes its seed from QSHM_SEED, or draws and prints one. */

/** A small generator (mulberry32); the state is one 32-bit word. */
export class Random {
  readonly seed: number;
  #state: number;

  constructor(seed: number) {
    this.seed = seed;
    this.#state = seed >>> 0;
  }

  /** A whole number from 0 to `below` - 1. */
  below(below: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor(((t ^ (t >>> 14)) >>> 0) / 4294967296 * below);
  }

  /** One of `choices`. */
  of<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!;
  }
}

/** A generator whose seed is printed, so that a failure can be had again with QSHM_SEED. */
export function printedRandom(what: string): Random {
  const given = process.env.QSHM_SEED;
  const seed = given === undefined ? Math.floor(Math.random() * 0x7fffffff) : Number(given);
  if (!Number.isInteger(seed)) throw new TypeError(`QSHM_SEED must be a whole number: got ${given}`);
  console.log(`${what}: QSHM_SEED=${seed}`);
  return new Random(seed);
}
