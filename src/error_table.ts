/**
 * What the library's error numbers mean: the mirror of `QSHM_ERRORS` in c/qshm.h, which a test compares with it.
 *
 * @module
 */

/** One row: the name in C, the public `code` (Qt's enumerator where one fits), and what a user can do about it. */
export interface ErrorRow {
  readonly name: string;
  readonly code: string;
  readonly advice?: string;
}

/** Rows by error number. */
export const ERROR_TABLE: Readonly<Record<number, ErrorRow>> = {
  [-1]: { name: "HANDLE", code: "NotAttached" },
  [-2]: { name: "ARGUMENT", code: "InvalidArgument" },
  [-3]: { name: "KEY", code: "KeyError" },
  [-4]: { name: "ALREADY_EXISTS", code: "AlreadyExists", advice: "attach to it, or choose another key" },
  [-5]: { name: "NOT_FOUND", code: "NotFound", advice: "create it first" },
  [-6]: { name: "SIZE_MISMATCH", code: "InvalidSize", advice: "use one size for this key everywhere" },
  [-7]: { name: "PERMISSION", code: "PermissionDenied", advice: "check the owner and mode of the file and its directory" },
  [-8]: {
    name: "UNSAFE_DIRECTORY",
    code: "PermissionDenied",
    advice: "use a directory of your own that others cannot write to",
  },
  [-9]: { name: "UNSAFE_FILE", code: "PermissionDenied", advice: "find out who put it there, and remove it" },
  [-10]: { name: "NO_DIRECTORY", code: "DirectoryNotFound", advice: "create the directory, or correct its name" },
  [-11]: { name: "LOCK_LOST", code: "LockError", advice: "what was written under it may be mixed with another's writes" },
  [-12]: { name: "DEADLOCK", code: "LockError", advice: "unlock first, or wait with `await lock()`" },
  [-13]: { name: "BUSY", code: "Busy", advice: "is that process stopped? Continue or end it, and try again" },
  [-14]: { name: "IN_USE", code: "Busy", advice: "end its users first, or force it" },
  [-15]: {
    name: "RESOURCES",
    code: "OutOfResources",
    advice: "free memory or space in the directory, or ask for less",
  },
  [-16]: { name: "INCOMPATIBLE", code: "Incompatible", advice: "end its users, or remove it" },
  [-17]: { name: "READ_ONLY", code: "PermissionDenied", advice: "attach with permission to write" },
  [-18]: { name: "UNSUPPORTED", code: "Unsupported", advice: "use a directory on a local file system" },
  [-19]: { name: "SYSTEM", code: "UnknownError" },
};
