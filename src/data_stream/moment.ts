/**
 * A date and time in a zone: Qt's QDateTime.
 *
 * @module
 */

import { ascending, type Codec } from "./codec.ts";
import type { Cursor } from "./cursor.ts";
import { msecsOf, partsOf, QDATE, QDate, QTIME, QTime } from "./date_time.ts";
import { wrongType } from "./misuse.ts";
import { QINT32, QINT8 } from "./scalars.ts";
import { QSTRING } from "./text.ts";
import { QT_5_0, QT_5_2 } from "./versions.ts";

/** In which time a QDateTime is: the names of Qt's `Qt::TimeSpec`. */
export type TimeSpec = "LocalTime" | "UTC" | "OffsetFromUTC" | "TimeZone";

/** Where a JavaScript Date ends, in milliseconds. */
const LAST_MOMENT = 8.64e15;

/**
 * A date and a time of day, and in which time that is. Qt's null QDateTime is `null`.
 *
 * @example Usage
 * ```ts
 * import { QDate, QDateTime, QTime } from "qshm/qt";
 *
 * const meeting = QDateTime.inZone(QDate.of(2024, 7, 1), QTime.of(9, 30), "Europe/Berlin");
 * console.assert(meeting.toDate().toISOString() === "2024-07-01T07:30:00.000Z");
 * console.assert(QDateTime.fromDate(new Date(0)).toString() === "1970-01-01T00:00:00.000 UTC");
 * ```
 */
export class QDateTime {
  /** The day, in its own time. */
  readonly date: QDate;
  /** The time of day, in its own time. */
  readonly time: QTime;
  /** Which time that is. */
  readonly spec: TimeSpec;
  /** With `OffsetFromUTC`: seconds east of UTC. Else 0. */
  readonly offset: number;
  /** With `TimeZone`: its name, such as `"Europe/Berlin"`. Else empty. */
  readonly zone: string;

  /** The other ways to make one are plainer. `place`: seconds east of UTC, or the name of a zone. */
  constructor(date: QDate, time: QTime, spec: TimeSpec = "LocalTime", place?: number | string) {
    if (!(date instanceof QDate)) throw wrongType("QDateTime's date", "a QDate", date);
    if (!(time instanceof QTime) || !time.isValid) throw wrongType("QDateTime's time", "a valid QTime", time);
    if (!["LocalTime", "UTC", "OffsetFromUTC", "TimeZone"].includes(spec)) throw wrongType("QDateTime's spec", "one of Qt::TimeSpec", spec);
    const wanted = { LocalTime: "undefined", UTC: "undefined", OffsetFromUTC: "number", TimeZone: "string" }[spec];
    if (typeof place !== wanted || (typeof place === "number" && (place | 0) !== place)) {
      throw wrongType(`QDateTime's place with ${spec}`, wanted === "number" ? "a number of seconds" : wanted, place);
    }
    this.date = date;
    this.time = time;
    this.spec = place === 0 ? "UTC" : spec; // as in Qt
    this.offset = typeof place === "number" ? place : 0;
    this.zone = typeof place === "string" ? place : "";
  }

  /**
   * One in local time.
   *
   * @param date The day.
   * @param time The time of day.
   * @returns It.
   *
   * @example Usage
   * ```ts
   * import { QDate, QDateTime, QTime } from "qshm/qt";
   *
   * const noon = QDateTime.local(QDate.of(2024, 1, 1), QTime.of(12, 0));
   * console.assert(noon.toDate().getHours() === 12);
   * ```
   */
  static local(date: QDate, time: QTime): QDateTime {
    return new QDateTime(date, time);
  }

  /**
   * One in UTC.
   *
   * @param date The day.
   * @param time The time of day.
   * @returns It.
   *
   * @example Usage
   * ```ts
   * import { QDate, QDateTime, QTime } from "qshm/qt";
   *
   * console.assert(QDateTime.utc(QDate.of(1970, 1, 1), QTime.of(0, 1)).toDate().getTime() === 60000);
   * ```
   */
  static utc(date: QDate, time: QTime): QDateTime {
    return new QDateTime(date, time, "UTC");
  }

  /**
   * One at an offset from UTC.
   *
   * @param date The day.
   * @param time The time of day.
   * @param seconds Seconds east of UTC; 0 is UTC itself.
   * @returns It.
   *
   * @example Usage
   * ```ts
   * import { QDate, QDateTime, QTime } from "qshm/qt";
   *
   * console.assert(QDateTime.atOffset(QDate.of(1970, 1, 1), QTime.of(1, 0), 3600).toDate().getTime() === 0);
   * ```
   */
  static atOffset(date: QDate, time: QTime, seconds: number): QDateTime {
    return new QDateTime(date, time, "OffsetFromUTC", seconds);
  }

  /**
   * One in a time zone.
   *
   * @param date The day.
   * @param time The time of day.
   * @param zone Its IANA name. Whether there is such a zone is asked when its offset is needed.
   * @returns It.
   *
   * @example Usage
   * ```ts
   * import { QDate, QDateTime, QTime } from "qshm/qt";
   *
   * const start = QDateTime.inZone(QDate.of(2024, 1, 1), QTime.of(0, 0), "America/New_York");
   * console.assert(start.toDate().toISOString() === "2024-01-01T05:00:00.000Z");
   * ```
   */
  static inZone(date: QDate, time: QTime, zone: string): QDateTime {
    return new QDateTime(date, time, "TimeZone", zone);
  }

  /**
   * The moment of a Date.
   *
   * @param date A valid Date.
   * @param spec In which time, by default UTC.
   * @returns It.
   *
   * @example Usage
   * ```ts
   * import { QDateTime } from "qshm/qt";
   *
   * console.assert(QDateTime.fromDate(new Date(1000)).time.second === 1);
   * ```
   */
  static fromDate(date: Date, spec: "UTC" | "LocalTime" = "UTC"): QDateTime {
    if (!(date instanceof Date) || Number.isNaN(date.getTime())) throw wrongType("QDateTime", "a valid Date", date);
    return fromUtc(date.getTime(), spec);
  }

  /** The moment; RangeError if its zone is unknown to the runtime. An invalid Date beyond what that can hold. */
  toDate(): Date {
    return new Date(utcOf(this));
  }

  /** Such as `"2024-07-01T09:30:00.000 Europe/Berlin"`. */
  toString(): string {
    const places = { LocalTime: "", UTC: " UTC", OffsetFromUTC: ` UTC${this.offset < 0 ? "" : "+"}${this.offset / 3600}`, TimeZone: ` ${this.zone}` };
    return `${this.date}T${this.time}${places[this.spec]}`;
  }
}

/** Only of moments that a Date can be. */
function fromUtc(msecs: number, spec: "UTC" | "LocalTime"): QDateTime {
  const { date, time } = partsOf(spec === "UTC" ? msecs : localOf(new Date(msecs)));
  return new QDateTime(date, time, spec);
}

/** As if its local date and time were those of UTC. Not by its offset, which in Date has no seconds. */
function localOf(date: Date): number {
  const local = new Date(0);
  local.setUTCFullYear(date.getFullYear(), date.getMonth(), date.getDate());
  return local.setUTCHours(date.getHours(), date.getMinutes(), date.getSeconds(), date.getMilliseconds());
}

/** Seconds east of UTC in a zone that is no more than that, such as `"UTC+05:30"`. */
function fixedOffset(zone: string): number | undefined {
  const [, sign, hours, minutes] = /^UTC([+-])(\d\d):(\d\d)$/.exec(zone) ?? [];
  return minutes === undefined ? undefined : (sign === "-" ? -60 : 60) * (Number(hours) * 60 + Number(minutes));
}

/** Milliseconds that a zone is east of UTC at a moment. */
function zoneOffset(zone: string, msecs: number): number {
  const fixed = fixedOffset(zone);
  if (fixed !== undefined) return fixed * 1000;
  const format = new Intl.DateTimeFormat("en-US", { timeZone: zone, timeZoneName: "longOffset" });
  const name = format.formatToParts(msecs).find(({ type }) => type === "timeZoneName")?.value ?? "";
  const [, sign, hours, minutes, seconds = "0"] = /GMT([+-])(\d\d):(\d\d)(?::(\d\d))?/.exec(name) ?? [];
  if (minutes === undefined) return 0;
  return (sign === "-" ? -1000 : 1000) * (Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds));
}

/** Can a Date be of this time, in every zone? */
function isDate(msecs: number): boolean {
  return Math.abs(msecs) < LAST_MOMENT - 2 * 86_400_000;
}

/** Milliseconds since 1970 in UTC. */
function utcOf({ date, time, spec, offset, zone }: QDateTime): number {
  const msecs = msecsOf(date, time);
  if (spec === "OffsetFromUTC") return msecs - offset * 1000;
  if (spec === "UTC" || !isDate(msecs)) return msecs;
  if (spec === "TimeZone") return msecs - zoneOffset(zone, msecs - zoneOffset(zone, msecs));
  const local = new Date(2000, 0, 1);
  const there = new Date(msecs);
  local.setFullYear(there.getUTCFullYear(), there.getUTCMonth(), there.getUTCDate());
  return local.setHours(there.getUTCHours(), there.getUTCMinutes(), there.getUTCSeconds(), there.getUTCMilliseconds());
}

/** Numbers on the wire: of Qt 5.0, and since 5.2; and of all others. */
const SPECS: readonly TimeSpec[] = ["LocalTime", "UTC", "OffsetFromUTC", "TimeZone"];
const OLD_SPECS: Readonly<Record<TimeSpec, number>> = { LocalTime: -1, UTC: 2, OffsetFromUTC: 3, TimeZone: 4 };

/** Stands before zones that are no more than an offset: their name, that offset, and names again. */
const OFFSET_ZONE = "OffsetFromUtc";

function readZone(cursor: Cursor): string {
  const id = QSTRING.read(cursor) ?? "";
  if (id !== OFFSET_ZONE) return id;
  const name = QSTRING.read(cursor) ?? "";
  QINT32.read(cursor); // the offset, which the name tells
  for (const part of [QSTRING, QSTRING, QINT32, QSTRING]) part.read(cursor); // name, abbreviation, territory, comment
  return name;
}

function writeZone(cursor: Cursor, zone: string): void {
  const offset = fixedOffset(zone);
  if (offset === undefined) return QSTRING.write(cursor, zone);
  QSTRING.write(cursor, OFFSET_ZONE);
  QSTRING.write(cursor, zone);
  QINT32.write(cursor, offset);
  QSTRING.write(cursor, zone);
  QSTRING.write(cursor, zone);
  QINT32.write(cursor, 0);
  QSTRING.write(cursor, zone);
}

/** Qt 5.0 alone writes UTC, and makes local time of what had a zone; 4.6 and 5.1 lose offset and zone. */
function read(cursor: Cursor): QDateTime | null {
  const date = QDATE.read(cursor);
  const stored = QTIME.read(cursor);
  const number = QINT8.read(cursor);
  const time = stored?.isValid ? stored : new QTime(0);
  if (cursor.version === QT_5_0) {
    const spec = [0, 3, 4].includes(number) ? "LocalTime" : "UTC";
    return date && (isDate(msecsOf(date, time)) ? fromUtc(msecsOf(date, time), spec) : new QDateTime(date, time, spec));
  }
  if (cursor.version < QT_5_2) return date && new QDateTime(date, time, number === 2 || number === 3 ? "UTC" : "LocalTime");
  const spec = SPECS[number] ?? (number & 1 ? "UTC" : "LocalTime");
  const place = spec === "OffsetFromUTC" ? QINT32.read(cursor) : spec === "TimeZone" ? readZone(cursor) : undefined;
  return date && new QDateTime(date, time, spec, place);
}

export const QDATETIME: Codec<QDateTime | null> = {
  name: "QDateTime",
  zero: null,
  compare: (a, b) => ascending(a ? utcOf(a) : -Infinity, b ? utcOf(b) : -Infinity),
  read,
  write(cursor, value) {
    if (!(value instanceof QDateTime || value === null)) throw wrongType("QDateTime", "a QDateTime or null", value);
    const spec = value?.spec ?? "LocalTime";
    const { date, time } = value === null
      ? { date: null, time: null }
      : cursor.version === QT_5_0 && isDate(msecsOf(value.date, value.time))
      ? partsOf(utcOf(value))
      : value;
    QDATE.write(cursor, date);
    QTIME.write(cursor, time);
    if (cursor.version < QT_5_2 && cursor.version !== QT_5_0) return QINT8.write(cursor, OLD_SPECS[spec]);
    QINT8.write(cursor, SPECS.indexOf(spec));
    if (cursor.version < QT_5_2) return;
    if (spec === "OffsetFromUTC") QINT32.write(cursor, value!.offset);
    else if (spec === "TimeZone") writeZone(cursor, value!.zone);
  },
};
