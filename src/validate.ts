/**
 * Checks of arguments, before anything reaches the library: the runtimes coerce wrong numbers differently, some
 * silently.
 *
 * @module
 */

/** The longest key, in bytes of UTF-8. */
const LONGEST_KEY = 1 << 20;

/** Checks a key and encodes it. */
export function encodeKey(key: unknown): Uint8Array {
  if (typeof key !== "string") throw new TypeError(`Key must be a string: got ${describe(key)}`);
  if (key === "") throw new TypeError("Key must not be empty");
  if (key.includes("\0")) throw new TypeError("Key must not contain NUL");
  if (!key.isWellFormed()) throw new TypeError("Key must be well-formed Unicode: it has a lone surrogate");
  const bytes = new TextEncoder().encode(key);
  if (bytes.length > LONGEST_KEY) {
    throw new RangeError(`Key must have at most ${LONGEST_KEY} bytes in UTF-8: got ${bytes.length}`);
  }
  return bytes;
}

/** Checks a directory option and encodes it; empty: not given. */
export function encodeDirectory(directory: unknown): Uint8Array {
  if (directory === undefined) return new Uint8Array(0);
  if (typeof directory !== "string") throw new TypeError(`Directory must be a string: got ${describe(directory)}`);
  if (directory === "" || directory.includes("\0")) throw new TypeError("Directory must not be empty or contain NUL");
  if (!directory.isWellFormed()) throw new TypeError("Directory must be well-formed Unicode: it has a lone surrogate");
  return new TextEncoder().encode(directory);
}

/** Checks a size in bytes. */
export function checkSize(size: unknown): number {
  return checkInteger("Size", size, 1, Number.MAX_SAFE_INTEGER);
}

/** Checks that a number is whole and in a range. */
export function checkInteger(name: string, value: unknown, least: number, most: number): number {
  if (typeof value !== "number") throw new TypeError(`${name} must be a number: got ${describe(value)}`);
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new RangeError(`${name} must be a whole number from ${least} to ${most}: got ${value}`);
  }
  return value;
}

/** Checks a file mode: owner and group only, and the owner may read and write. 0: not given. */
export function checkMode(mode: unknown): number {
  if (mode === undefined) return 0;
  const checked = checkInteger("Mode", mode, 0, 0o777);
  if ((checked & 0o600) !== 0o600 || (checked & 0o007) !== 0) {
    throw new RangeError(
      `Mode must let the owner read and write, and others do nothing, such as 0o660: got 0o${checked.toString(8)}`,
    );
  }
  return checked;
}

/** Checks an optional boolean. */
export function checkBoolean(name: string, value: unknown, otherwise: boolean): boolean {
  if (value === undefined) return otherwise;
  if (typeof value !== "boolean") throw new TypeError(`${name} must be a boolean: got ${describe(value)}`);
  return value;
}

/** Checks a time-out in milliseconds. */
export function checkTimeout(value: unknown, name = "Timeout"): number {
  if (value === undefined) return Infinity;
  if (typeof value !== "number") throw new TypeError(`${name} must be a number: got ${describe(value)}`);
  if (!(value >= 0)) throw new RangeError(`${name} must be at least 0 ms: got ${value}`);
  return value;
}

const typedArray = Object.getOwnPropertyDescriptors(Object.getPrototypeOf(Uint8Array.prototype)) as unknown as {
  length: { get(this: unknown): number };
  [Symbol.toStringTag]: { get(this: unknown): string | undefined };
};
const lengthOf = typedArray.length.get;
const tagOf = typedArray[Symbol.toStringTag].get;

/** Is it a Uint8Array, of whatever realm? */
export function isBytes(value: unknown): value is Uint8Array {
  return tagOf.call(value) === "Uint8Array";
}

/**
 * Checks that something is bytes, and gives their true number: a subclass, or a property of its own, may make `length`
 * say anything, and the library would believe it.
 */
export function checkBytes(name: string, value: unknown): number {
  if (!isBytes(value)) throw new TypeError(`${name} must be a Uint8Array: got ${describe(value)}`);
  const length = lengthOf.call(value);
  if (length === 0 && (value as Uint8Array<ArrayBuffer>).buffer.detached) {
    throw new TypeError(`${name} must not be detached: its buffer was transferred`);
  }
  return length;
}

/** Checks an options bag: an object without names that mean nothing, so that a misspelt option does not go unseen. */
export function checkOptions<T extends object>(options: T | undefined, names: readonly string[]): Partial<T> {
  if (options === undefined) return {};
  if (options === null || typeof options !== "object" || Array.isArray(options)) {
    throw new TypeError(`Options must be an object: got ${describe(options)}`);
  }
  for (const name of Object.keys(options)) {
    if (!names.includes(name)) {
      throw new TypeError(`Unknown option "${name}": known are ${names.map((known) => `"${known}"`).join(", ")}`);
    }
  }
  return options;
}

/** What a value is, for a message. */
export function describe(value: unknown): string {
  return value === null ? "null" : Array.isArray(value) ? "an array" : `${typeof value}`;
}
