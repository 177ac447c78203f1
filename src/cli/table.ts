/**
 * Columns for people.
 *
 * @module
 */

const GAP = "  ";
/** Combining characters, which take no column of their own. */
const NARROW = /\p{Mn}|\p{Me}/u;
/** East Asian characters and pictures, which take two. */
const WIDE =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u;

/** How many columns of a terminal a text takes. */
export function width(text: string): number {
  let columns = 0;
  for (const character of text) columns += NARROW.test(character) ? 0 : WIDE.test(character) ? 2 : 1;
  return columns;
}

/** Aligns rows; every one has as many cells as the first. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => rows.reduce((most, row) => Math.max(most, width(row[column]!)), 0));
  const pad = (cell: string, column: number): string => cell + " ".repeat(widths[column]! - width(cell));
  return rows.map((row) => row.map(pad).join(GAP).trimEnd()).join("\n");
}

/** Text of at most so many columns; `…` where some are missing. */
export function fit(text: string, columns: number): string {
  if (width(text) <= columns) return text;
  let kept = "";
  let taken = 0;
  for (const character of text) {
    taken += width(character);
    if (taken > columns - 1) break;
    kept += character;
  }
  return columns > 0 ? `${kept}…` : "";
}
