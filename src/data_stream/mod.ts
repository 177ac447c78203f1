/**
 * QDataStream: Qt's format for values. Pure TypeScript over Uint8Array: it opens no library and needs no permission.
 *
 * @module
 */

export { QBitArray } from "./bit_array.ts";
export { QDate, QTime } from "./date_time.ts";
export type { QLine, QPoint, QRect, QSize } from "./geometry.ts";
export type { QJson } from "./json.ts";
export { QDateTime, type TimeSpec } from "./moment.ts";
export type { QRegularExpression } from "./regular_expression.ts";
export type { Enumerations } from "./enumerations.ts";
export type { ScalarStream } from "./scalar_stream.ts";
export type { StreamState } from "./state.ts";
export { QDataStream } from "./stream.ts";
export { QVariant, type QVariantLike } from "./variant.ts";
export type { ByteOrder, FloatingPointPrecision, Status } from "./versions.ts";
