/** Counting as a segment's revision does. */

/** The revision after this one. */
export function following(revision: number): number {
  return (revision + 1) % 2 ** 31;
}
