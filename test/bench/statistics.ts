/** Medians and spreads: on a machine that others use as well, a mean says nothing. */

/** A measured value: nanoseconds, or a ratio. */
export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** The middle value; of an even number, the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** The median of samples, and the lowest and highest of them. */
export function summarize(samples: readonly number[]): Summary {
  return { median: median(samples), min: Math.min(...samples), max: Math.max(...samples) };
}

/** The ratio of the medians. Its spread is that of the ratios of samples taken next to each other. */
export function ratioOf(ours: readonly number[], rival: readonly number[]): Summary {
  const paired = ours.slice(0, rival.length).map((sample, i) => sample / rival[i]!);
  return { median: median(ours) / median(rival), min: Math.min(...paired), max: Math.max(...paired) };
}
