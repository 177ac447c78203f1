/**
 * The numbers of QDataStream's enumerations, as Qt has them.
 *
 * @module
 */

/** What became of a stream: the first error stays until `resetStatus()`. */
export type Status = 0 | 1 | 2 | 3 | 4;

/** The names and numbers of {@linkcode Status}. */
export const STATUS = { Ok: 0, ReadPastEnd: 1, ReadCorruptData: 2, WriteFailed: 3, SizeLimitExceeded: 4 } as const;

/** `BigEndian` is 0, `LittleEndian` is 1. */
export type ByteOrder = 0 | 1;

/** `SinglePrecision` is 0, `DoublePrecision` is 1. */
export type FloatingPointPrecision = 0 | 1;

/** The oldest version that can be set. */
export const OLDEST = 12;
/** The newest version that can be set. */
export const NEWEST = 22 as const;

/** From here a QDate is 64 bits, and a QVariant has Qt 5's type numbers. */
export const QT_5_0 = 13;
/** From here a QDateTime tells its offset or zone. */
export const QT_5_2 = 15;
/** From here a QBitArray's size is 64 bits, and user types begin at 0x10000. */
export const QT_6_0 = 20;
/** From here sizes of 0xfffffffe and more can be told. */
export const QT_6_7 = 22;
