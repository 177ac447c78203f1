/**
 * Why the library could not be loaded.
 *
 * @module
 */

/** Why the library could not be loaded. `src/errors.ts` turns it into the public errors. */
export class LoadError extends Error {
  override readonly name = "LoadError";
  /** Is it the platform or runtime that is not supported, rather than the library that is missing? */
  readonly unsupported: boolean;

  constructor(message: string, unsupported: boolean, options?: ErrorOptions) {
    super(message, options);
    this.unsupported = unsupported;
  }
}
