/**
 * The options that all kinds of segments share: where they are, and how long.
 *
 * @module
 */

import { checkBoolean, checkMode, checkOptions } from "./validate.ts";

/** Where a segment is. */
export interface PlaceOptions {
  /**
   * An existing directory on a local file system, of your own or shared by a group. Default: `QSHM_DIRECTORY`, else the
   * user's own in `/dev/shm`.
   */
  directory?: string;
}

/** How a segment that is created lives. */
export interface LifeOptions extends PlaceOptions {
  /** Keep the contents when nobody is attached, until they are removed. Default: `false`. */
  persistent?: boolean;
  /** The file's mode: the owner's and the group's bits. Default: `0o600`. */
  mode?: number;
}

/** The names of {@linkcode LifeOptions}. */
export const LIFE_OPTIONS = ["directory", "persistent", "mode"] as const;

/** Checked {@linkcode LifeOptions}; the directory is checked where it is encoded. */
export interface Life {
  readonly directory: string | undefined;
  readonly mode: number;
  readonly persistent: boolean;
}

/** Checks the options of a segment's life. */
export function checkLife(options: LifeOptions | undefined): Life {
  const { directory, mode, persistent } = checkOptions(options, LIFE_OPTIONS);
  return { directory, mode: checkMode(mode), persistent: checkBoolean("Persistent", persistent, false) };
}

/** Calls `f`; gives `undefined` where it throws an error of this class. */
export function undefinedFor<T>(Class: new (...args: never[]) => Error, f: () => T): T | undefined {
  try {
    return f();
  } catch (error) {
    if (error instanceof Class) return undefined;
    throw error;
  }
}
