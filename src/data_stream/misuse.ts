/**
 * Errors for values that a type cannot hold.
 *
 * @module
 */

/** What a value is, for a message. */
export function describe(value: unknown): string {
  if (value === null || value === undefined) return `${value}`;
  if (typeof value === "object") return Array.isArray(value) ? "an array" : `a ${value.constructor?.name ?? "plain object"}`;
  return typeof value === "string" ? `string ${JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}...` : value)}` : `${typeof value} ${String(value)}`;
}

/** For a value of the wrong JavaScript type. */
export function wrongType(type: string, wanted: string, value: unknown): TypeError {
  return new TypeError(`A ${type} must be ${wanted}: got ${describe(value)}`);
}

/** For a number outside what the type can hold. */
export function outOfRange(type: string, least: number | bigint, most: number | bigint, value: unknown): RangeError {
  return new RangeError(`A ${type} must be a whole number from ${least} to ${most}: got ${describe(value)}`);
}
