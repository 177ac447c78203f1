/** Qt's numbers of what went wrong, as its headers have them. */

/** QSharedMemory::SharedMemoryError */
export const MEMORY = {
  NoError: 0,
  PermissionDenied: 1,
  InvalidSize: 2,
  KeyError: 3,
  AlreadyExists: 4,
  NotFound: 5,
  LockError: 6,
  OutOfResources: 7,
  UnknownError: 8,
} as const;

/** QSystemSemaphore::SystemSemaphoreError */
export const SEMAPHORE = {
  NoError: 0,
  PermissionDenied: 1,
  KeyError: 2,
  AlreadyExists: 3,
  NotFound: 4,
  OutOfResources: 5,
  UnknownError: 6,
} as const;

/** QSharedMemory::AccessMode */
export const READ_ONLY = 0;
/** QSystemSemaphore::AccessMode */
export const OPEN = 0, CREATE = 1;
