/**
 * What the library's error numbers mean: the mirror of `QSHM_ERRORS` in c/qshm.h, which a test compares with it.
 *
 * @module
 */

/** One row. */
export interface ErrorRow {
  /** The name in C. */
  readonly name: string;
  /** What it means, as C says it. */
  readonly sentence: string;
  /** The public `code`: Qt's enumerator where one fits. */
  readonly code: string;
  /** Of what the library's finer reason ("is a symbolic link") speaks. */
  readonly about?: "it" | "directory" | "file";
  /** What a user can do about it. */
  readonly advice?: string;
}

/** Rows by error number. */
export const ERROR_TABLE: Readonly<Record<number, ErrorRow>> = {
  [-1]: {
    name: "HANDLE",
    sentence: "the handle names nothing that is attached",
    code: "NotAttached",
  },
  [-2]: {
    name: "ARGUMENT",
    sentence: "an argument is out of its range",
    code: "InvalidArgument",
  },
  [-3]: {
    name: "KEY",
    sentence: "the key is empty, too long, or not UTF-8 without NUL",
    code: "KeyError",
  },
  [-4]: {
    name: "ALREADY_EXISTS",
    sentence: "a segment of this name is in use, or persistent",
    code: "AlreadyExists",
    about: "it",
    advice: "attach to it, or choose another key",
  },
  [-5]: {
    name: "NOT_FOUND",
    sentence: "there is no segment of this name",
    code: "NotFound",
    about: "it",
    advice: "create it first",
  },
  [-6]: {
    name: "SIZE_MISMATCH",
    sentence: "the segment has another size",
    code: "InvalidSize",
    about: "it",
    advice: "use one size for this key everywhere",
  },
  [-7]: {
    name: "PERMISSION",
    sentence: "the operating system does not permit it",
    code: "PermissionDenied",
    about: "it",
    advice: "check the owner and mode of the file and its directory",
  },
  [-8]: {
    name: "UNSAFE_DIRECTORY",
    sentence: "the directory is not safe to use",
    code: "PermissionDenied",
    about: "directory",
    advice: "use a directory of your own that others cannot write to",
  },
  [-9]: {
    name: "UNSAFE_FILE",
    sentence: "the file at the segment's name is not safe to use",
    code: "PermissionDenied",
    about: "file",
    advice: "find out who put it there, and remove it",
  },
  [-10]: {
    name: "NO_DIRECTORY",
    sentence: "the directory does not exist",
    code: "DirectoryNotFound",
    about: "directory",
    advice: "create the directory, or correct its name",
  },
  [-11]: {
    name: "LOCK_LOST",
    sentence: "the lock was taken away from its owner",
    code: "LockError",
    advice: "what was written under it may be mixed with another's writes",
  },
  [-12]: {
    name: "DEADLOCK",
    sentence: "the wait could never end",
    code: "LockError",
    advice: "unlock first, or wait with `await lock()`",
  },
  [-13]: {
    name: "BUSY",
    sentence: "another process holds an internal lock for too long",
    code: "Busy",
    advice: "is that process stopped? Continue or end it, and try again",
  },
  [-14]: {
    name: "IN_USE",
    sentence: "the segment is in use",
    code: "Busy",
    about: "it",
    advice: "end its users first, or force it",
  },
  [-15]: {
    name: "RESOURCES",
    sentence: "memory, file descriptors or space on the file system are exhausted",
    code: "OutOfResources",
    advice: "free memory or space in the directory, or ask for less",
  },
  [-16]: {
    name: "INCOMPATIBLE",
    sentence: "the segment was made by another version, or is damaged, and is in use or persistent",
    code: "Incompatible",
    about: "it",
    advice: "end its users, or remove it",
  },
  [-17]: {
    name: "READ_ONLY",
    sentence: "the attachment is read-only",
    code: "PermissionDenied",
    advice: "attach with permission to write",
  },
  [-18]: {
    name: "UNSUPPORTED",
    sentence: "the operating system or file system lacks what is needed",
    code: "Unsupported",
    about: "directory",
    advice: "use a directory on a local file system",
  },
  [-19]: {
    name: "SYSTEM",
    sentence: "an operating system call failed",
    code: "UnknownError",
  },
  [-20]: {
    name: "TOO_LARGE",
    sentence: "the message is larger than its receiver takes",
    code: "MessageTooLarge",
    about: "it",
    advice: "put it into a SharedMemory or a file, and send its name",
  },
};
