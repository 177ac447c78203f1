/**
 * Qt's QRegularExpression.
 *
 * @module
 */

import type { Codec } from "./codec.ts";
import { wrongType } from "./misuse.ts";
import { QUINT32 } from "./scalars.ts";
import { QSTRING } from "./text.ts";

/** A QRegularExpression: not a RegExp, since the patterns of Perl that Qt takes are not those of JavaScript. */
export interface QRegularExpression {
  /** The pattern. */
  readonly pattern: string;
  /** The sum of Qt's `QRegularExpression::PatternOption`s, such as 1: whatever the case. */
  readonly options: number;
}

export const REGULAR_EXPRESSION: Codec<QRegularExpression> = {
  name: "QRegularExpression",
  zero: { pattern: "", options: 0 },
  read(cursor) {
    const pattern = QSTRING.read(cursor) ?? "";
    return { pattern, options: QUINT32.read(cursor) };
  },
  write(cursor, value) {
    const { pattern, options } = Object(value) as QRegularExpression;
    if (typeof pattern !== "string") throw wrongType("QRegularExpression", "an object with pattern and options", value);
    QSTRING.write(cursor, pattern);
    QUINT32.write(cursor, options);
  },
};
