/**
 * Dates and times of day, as Qt has them.
 *
 * @module
 */

import { ascending, type Codec } from "./codec.ts";
import { describe, wrongType } from "./misuse.ts";
import { QT_5_0 } from "./versions.ts";

const MS_PER_DAY = 86_400_000;
/** The Julian day of 1970-01-01. */
const UNIX_EPOCH = 2_440_588;
const FIRST_DAY = -784_350_574_879;
const LAST_DAY = 784_354_017_364;
const NULL_DAY = -(2n ** 63n);

/** Since March 1st of the year 0, of which Gregorian calendars repeat every 400 years. */
const DAYS_PER_400_YEARS = 146_097;
const MARCH_1ST_OF_0 = 1_721_120;

function padded(value: number, digits: number): string {
  return String(value).padStart(digits, "0");
}

/**
 * A day in the Gregorian calendar, which holds for all time here, as in Qt. Year -1 is 1 BCE, and is followed by year 1.
 * Qt's null QDate is `null`.
 *
 * @example Usage
 * ```ts
 * import { QDate } from "qshm/qt";
 *
 * const day = QDate.of(2024, 2, 29);
 * console.assert(day.toString() === "2024-02-29" && day.year === 2024);
 * console.assert(new QDate(day.julianDay + 1).toString() === "2024-03-01");
 * ```
 */
export class QDate {
  /** Days since November 24th, 4714 BCE. */
  readonly julianDay: number;

  /** The day of a number; RangeError where Qt knows none. */
  constructor(julianDay: number) {
    if (!Number.isInteger(julianDay) || julianDay < FIRST_DAY || julianDay > LAST_DAY) {
      throw new RangeError(`A Julian day must be a whole number from ${FIRST_DAY} to ${LAST_DAY}: got ${describe(julianDay)}`);
    }
    this.julianDay = julianDay;
  }

  /**
   * The day of a year, month (1 to 12) and day of the month.
   *
   * @param year The year, not 0.
   * @param month 1 to 12.
   * @param day 1 to 31.
   * @returns The day; RangeError if there is none such.
   *
   * @example Usage
   * ```ts
   * import { QDate } from "qshm/qt";
   *
   * console.assert(QDate.of(1970, 1, 1).julianDay === 2440588);
   * ```
   */
  static of(year: number, month: number, day: number): QDate {
    const counted = year < 0 ? year + 1 : year; // with a year 0
    const fromMarch = (month + 9) % 12;
    const marchYear = counted - (month <= 2 ? 1 : 0);
    const leaps = Math.floor(marchYear / 4) - Math.floor(marchYear / 100) + Math.floor(marchYear / 400);
    const julianDay = MARCH_1ST_OF_0 + marchYear * 365 + leaps + Math.floor((fromMarch * 153 + 2) / 5) + day - 1;
    const date = year === 0 || !Number.isInteger(julianDay) ? undefined : new QDate(julianDay);
    if (date === undefined || date.year !== year || date.month !== month || date.day !== day) {
      throw new RangeError(`There is no such day: year ${year}, month ${month}, day ${day}`);
    }
    return date;
  }

  /**
   * The day of a text such as `"2024-02-29"`, or `"-0044-03-15"`.
   *
   * @param text Year, month and day.
   * @returns The day; RangeError if there is none such.
   *
   * @example Usage
   * ```ts
   * import { QDate } from "qshm/qt";
   *
   * console.assert(QDate.parse("-0044-03-15").year === -44);
   * ```
   */
  static parse(text: string): QDate {
    const [, year, month, day] = /^([+-]?\d{4,})-(\d\d)-(\d\d)$/.exec(text) ?? [];
    if (day === undefined) throw new RangeError(`A date must look like "2024-02-29": got ${describe(text)}`);
    return QDate.of(Number(year), Number(month), Number(day));
  }

  /** The year; never 0. */
  get year(): number {
    return this.#parts[0];
  }

  /** The month, from 1. */
  get month(): number {
    return this.#parts[1];
  }

  /** The day of the month, from 1. */
  get day(): number {
    return this.#parts[2];
  }

  /** As Qt's `Qt::ISODate`. */
  toString(): string {
    const [year, month, day] = this.#parts;
    return `${year < 0 ? "-" : ""}${padded(Math.abs(year), 4)}-${padded(month, 2)}-${padded(day, 2)}`;
  }

  get #parts(): [year: number, month: number, day: number] {
    const days = this.julianDay - MARCH_1ST_OF_0;
    const era = Math.floor(days / DAYS_PER_400_YEARS);
    const inEra = days - era * DAYS_PER_400_YEARS;
    const yearOfEra = Math.floor((inEra - Math.floor(inEra / 1460) + Math.floor(inEra / 36_524) - Math.floor(inEra / 146_096)) / 365);
    const inYear = inEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
    const fromMarch = Math.floor((5 * inYear + 2) / 153);
    const month = fromMarch < 10 ? fromMarch + 3 : fromMarch - 9;
    const year = era * 400 + yearOfEra + (month <= 2 ? 1 : 0);
    return [year <= 0 ? year - 1 : year, month, inYear - Math.floor((153 * fromMarch + 2) / 5) + 1];
  }
}

/**
 * A time of day, to the millisecond. Qt's null QTime is `null`.
 *
 * @example Usage
 * ```ts
 * import { QTime } from "qshm/qt";
 *
 * const time = QTime.of(12, 34, 56, 789);
 * console.assert(time.toString() === "12:34:56.789" && time.msecs === 45296789);
 * ```
 */
export class QTime {
  /** Milliseconds since midnight. One that was read may hold any number of 32 bits, and then not be valid. */
  readonly msecs: number;

  /** The time so many milliseconds after midnight. */
  constructor(msecs: number) {
    if ((msecs | 0) !== msecs || msecs === -1) {
      throw new RangeError(`The milliseconds of a QTime must be a whole number from 0 to ${MS_PER_DAY - 1}: got ${describe(msecs)}`);
    }
    this.msecs = msecs;
  }

  /**
   * The time of an hour, minute, second and millisecond.
   *
   * @param hour 0 to 23.
   * @param minute 0 to 59.
   * @param second 0 to 59.
   * @param msec 0 to 999.
   * @returns The time; RangeError if there is none such.
   *
   * @example Usage
   * ```ts
   * import { QTime } from "qshm/qt";
   *
   * console.assert(QTime.of(1, 2).msecs === 3720000);
   * ```
   */
  static of(hour: number, minute: number, second = 0, msec = 0): QTime {
    const limits = [[hour, 24], [minute, 60], [second, 60], [msec, 1000]] as const;
    if (limits.some(([value, limit]) => !Number.isInteger(value) || value < 0 || value >= limit)) {
      throw new RangeError(`There is no such time: hour ${hour}, minute ${minute}, second ${second}, millisecond ${msec}`);
    }
    return new QTime(((hour * 60 + minute) * 60 + second) * 1000 + msec);
  }

  /**
   * The time of a text such as `"12:34:56.789"`.
   *
   * @param text Hours and minutes, with or without seconds and milliseconds.
   * @returns The time; RangeError if there is none such.
   *
   * @example Usage
   * ```ts
   * import { QTime } from "qshm/qt";
   *
   * console.assert(QTime.parse("01:02").toString() === "01:02:00.000");
   * ```
   */
  static parse(text: string): QTime {
    const [, hour, minute, second = "0", msec = "0"] = /^(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,3}))?)?$/.exec(text) ?? [];
    if (minute === undefined) throw new RangeError(`A time must look like "12:34:56.789": got ${describe(text)}`);
    return QTime.of(Number(hour), Number(minute), Number(second), Number(msec.padEnd(3, "0")));
  }

  /** Is it a time of the day? */
  get isValid(): boolean {
    return this.msecs >= 0 && this.msecs < MS_PER_DAY;
  }

  /** The hour, from 0. */
  get hour(): number {
    return Math.floor(this.msecs / 3_600_000);
  }

  /** The minute, from 0. */
  get minute(): number {
    return Math.floor(this.msecs / 60_000) % 60;
  }

  /** The second, from 0. */
  get second(): number {
    return Math.floor(this.msecs / 1000) % 60;
  }

  /** The millisecond, from 0. */
  get msec(): number {
    return this.msecs % 1000;
  }

  /** As `"12:34:56.789"`. */
  toString(): string {
    if (!this.isValid) return "invalid";
    return `${padded(this.hour, 2)}:${padded(this.minute, 2)}:${padded(this.second, 2)}.${padded(this.msec, 3)}`;
  }
}

/** Milliseconds since 1970 in UTC, if date and time were those of UTC. */
export function msecsOf(date: QDate, time: QTime): number {
  return (date.julianDay - UNIX_EPOCH) * MS_PER_DAY + time.msecs;
}

/** The date and time of UTC so many milliseconds after 1970. */
export function partsOf(msecs: number): { date: QDate; time: QTime } {
  const days = Math.floor(msecs / MS_PER_DAY);
  return { date: new QDate(days + UNIX_EPOCH), time: new QTime(msecs - days * MS_PER_DAY) };
}

/** What is no day is null. */
export const QDATE: Codec<QDate | null> = {
  name: "QDate",
  zero: null,
  compare: (a, b) => ascending(a?.julianDay ?? -Infinity, b?.julianDay ?? -Infinity),
  read(cursor) {
    // Before Qt 5 there is nothing before the first Julian day, and that itself is null.
    const day = cursor.version < QT_5_0 ? cursor.readUint32() || Infinity : Number(cursor.readInt64());
    return day >= FIRST_DAY && day <= LAST_DAY ? new QDate(day) : null;
  },
  write(cursor, value) {
    if (!(value instanceof QDate || value === null)) throw wrongType("QDate", "a QDate or null", value);
    const day = value === null ? NULL_DAY : BigInt(value.julianDay);
    if (cursor.version < QT_5_0) cursor.writeUint32(Number(BigInt.asUintN(32, day)));
    else cursor.writeInt64(day);
  },
};

export const QTIME: Codec<QTime | null> = {
  name: "QTime",
  zero: null,
  compare: (a, b) => ascending(a?.msecs ?? -1, b?.msecs ?? -1),
  read(cursor) {
    const msecs = cursor.readUint32() | 0;
    return msecs === -1 ? null : new QTime(msecs);
  },
  write(cursor, value) {
    if (!(value instanceof QTime || value === null)) throw wrongType("QTime", "a QTime or null", value);
    cursor.writeUint32((value?.msecs ?? -1) >>> 0);
  },
};
