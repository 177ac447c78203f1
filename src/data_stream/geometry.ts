/**
 * Points, sizes, lines and rectangles: plain objects, of whole numbers or, those with an F, of others.
 *
 * @module
 */

import type { Codec } from "./codec.ts";
import { wrongType } from "./misuse.ts";
import { DOUBLE, QINT32 } from "./scalars.ts";

/** A point: QPoint with 32-bit integers, QPointF with doubles. */
export interface QPoint {
  /** Its distance from the left. */
  readonly x: number;
  /** Its distance from the top. */
  readonly y: number;
}

/** A size: QSize with 32-bit integers, QSizeF with doubles. */
export interface QSize {
  /** Across. */
  readonly width: number;
  /** Down. */
  readonly height: number;
}

/** A line: QLine with 32-bit integers, QLineF with doubles. */
export interface QLine {
  /** Where it begins, from the left. */
  readonly x1: number;
  /** Where it begins, from the top. */
  readonly y1: number;
  /** Where it ends, from the left. */
  readonly x2: number;
  /** Where it ends, from the top. */
  readonly y2: number;
}

/** A rectangle: QRect with 32-bit integers, QRectF with doubles. */
export interface QRect extends QPoint, QSize {}

/** Objects whose properties stand one after the other. */
function record<K extends string>(name: string, number: Codec<number>, keys: readonly K[], zeros?: Record<K, number>): Codec<Readonly<Record<K, number>>> {
  const make = (f: (key: K) => number) => Object.fromEntries(keys.map((key) => [key, f(key)])) as Record<K, number>;
  return {
    name,
    zero: zeros ?? make(() => 0),
    read: (cursor) => make(() => number.read(cursor)),
    write(cursor, value) {
      if (keys.some((key) => typeof Object(value)[key] !== "number")) {
        throw wrongType(name, `an object with the numbers ${keys.join(", ")}`, value);
      }
      for (const key of keys) number.write(cursor, value[key]);
    },
  };
}

export const QPOINT: Codec<QPoint> = record("QPoint", QINT32, ["x", "y"]);
export const QPOINTF: Codec<QPoint> = record("QPointF", DOUBLE, ["x", "y"]);
export const QSIZE: Codec<QSize> = record("QSize", QINT32, ["width", "height"], { width: -1, height: -1 });
export const QSIZEF: Codec<QSize> = record("QSizeF", DOUBLE, ["width", "height"], { width: -1, height: -1 });
export const QLINE: Codec<QLine> = record("QLine", QINT32, ["x1", "y1", "x2", "y2"]);
export const QLINEF: Codec<QLine> = record("QLineF", DOUBLE, ["x1", "y1", "x2", "y2"]);
export const QRECTF: Codec<QRect> = record("QRectF", DOUBLE, ["x", "y", "width", "height"]);

const CORNERS = record("QRect", QINT32, ["left", "top", "right", "bottom"]);

/** On the wire stand its corners, of which right and bottom are inside: one less than one would think. */
export const QRECT: Codec<QRect> = {
  name: "QRect",
  zero: QRECTF.zero,
  read(cursor) {
    const { left, top, right, bottom } = CORNERS.read(cursor);
    return { x: left, y: top, width: (right - left + 1) | 0, height: (bottom - top + 1) | 0 };
  },
  write(cursor, value) {
    const { x, y, width, height } = Object(value) as QRect;
    for (const number of [x, y, width, height]) {
      if ((number | 0) !== number) throw wrongType("QRect", "an object with the 32-bit integers x, y, width, height", value);
    }
    CORNERS.write(cursor, { left: x, top: y, right: (x + width - 1) | 0, bottom: (y + height - 1) | 0 });
  },
};
