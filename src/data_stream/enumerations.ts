/**
 * The names and numbers of QDataStream's enumerations, which QDataStream has as static properties.
 *
 * @module
 */

import { NEWEST, STATUS } from "./versions.ts";

/** Qt's enumerators. */
export class Enumerations {
  /** Status: no error. */
  static readonly Ok: 0 = STATUS.Ok;
  /** Status: there was less to read than was asked for. */
  static readonly ReadPastEnd: 1 = STATUS.ReadPastEnd;
  /** Status: what was read makes no sense. */
  static readonly ReadCorruptData: 2 = STATUS.ReadCorruptData;
  /** Status: the stream can only be read. */
  static readonly WriteFailed: 3 = STATUS.WriteFailed;
  /** Status: a size that Qt cannot have, or the version cannot tell. */
  static readonly SizeLimitExceeded: 4 = STATUS.SizeLimitExceeded;
  /** Byte order: the highest byte first, the default. */
  static readonly BigEndian: 0 = 0;
  /** Byte order: the lowest byte first. */
  static readonly LittleEndian: 1 = 1;
  /** Precision: `float` and `double` have 4 bytes. */
  static readonly SinglePrecision: 0 = 0;
  /** Precision: `float` and `double` have 8 bytes, the default. */
  static readonly DoublePrecision: 1 = 1;
  /** The format of Qt 4.6. */
  static readonly Qt_4_6: 12 = 12;
  /** The format of Qt 4.7. */
  static readonly Qt_4_7: 12 = 12;
  /** The format of Qt 4.8. */
  static readonly Qt_4_8: 12 = 12;
  /** The format of Qt 4.9. */
  static readonly Qt_4_9: 12 = 12;
  /** The format of Qt 5.0. */
  static readonly Qt_5_0: 13 = 13;
  /** The format of Qt 5.1. */
  static readonly Qt_5_1: 14 = 14;
  /** The format of Qt 5.2. */
  static readonly Qt_5_2: 15 = 15;
  /** The format of Qt 5.3. */
  static readonly Qt_5_3: 15 = 15;
  /** The format of Qt 5.4. */
  static readonly Qt_5_4: 16 = 16;
  /** The format of Qt 5.5. */
  static readonly Qt_5_5: 16 = 16;
  /** The format of Qt 5.6. */
  static readonly Qt_5_6: 17 = 17;
  /** The format of Qt 5.7. */
  static readonly Qt_5_7: 17 = 17;
  /** The format of Qt 5.8. */
  static readonly Qt_5_8: 17 = 17;
  /** The format of Qt 5.9. */
  static readonly Qt_5_9: 17 = 17;
  /** The format of Qt 5.10. */
  static readonly Qt_5_10: 17 = 17;
  /** The format of Qt 5.11. */
  static readonly Qt_5_11: 17 = 17;
  /** The format of Qt 5.12. */
  static readonly Qt_5_12: 18 = 18;
  /** The format of Qt 5.13. */
  static readonly Qt_5_13: 19 = 19;
  /** The format of Qt 5.14. */
  static readonly Qt_5_14: 19 = 19;
  /** The format of Qt 5.15. */
  static readonly Qt_5_15: 19 = 19;
  /** The format of Qt 6.0. */
  static readonly Qt_6_0: 20 = 20;
  /** The format of Qt 6.1. */
  static readonly Qt_6_1: 20 = 20;
  /** The format of Qt 6.2. */
  static readonly Qt_6_2: 20 = 20;
  /** The format of Qt 6.3. */
  static readonly Qt_6_3: 20 = 20;
  /** The format of Qt 6.4. */
  static readonly Qt_6_4: 20 = 20;
  /** The format of Qt 6.5. */
  static readonly Qt_6_5: 20 = 20;
  /** The format of Qt 6.6. */
  static readonly Qt_6_6: 21 = 21;
  /** The format of Qt 6.7. */
  static readonly Qt_6_7: 22 = 22;
  /** The format of Qt 6.8. */
  static readonly Qt_6_8: 22 = 22;
  /** The format of Qt 6.9. */
  static readonly Qt_6_9: 22 = 22;
  /** The newest format, which a stream has unless told otherwise. */
  static readonly Qt_DefaultCompiledVersion: 22 = NEWEST;
}
