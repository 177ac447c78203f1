/** The errors themselves: classes, names, codes, and messages that say what was tried, on what, and what to do. */

import assert from "node:assert/strict";
import * as qshm from "../../../mod.ts";
import { freshKey, type Suite } from "../case.ts";
import { errorOf, thrownBy } from "../helpers.ts";

const {
  AlreadyExistsError,
  list,
  LockError,
  NotFoundError,
  OutOfResourcesError,
  QshmError,
  SharedMemory,
  SizeMismatchError,
} = qshm;

const CLASSES = [
  "AlreadyExistsError",
  "BusyError",
  "IncompatibleError",
  "LibraryError",
  "LockError",
  "NotFoundError",
  "OutOfResourcesError",
  "PermissionDeniedError",
  "SizeMismatchError",
  "UnsupportedPlatformError",
] as const;

export const errors: Suite = {
  name: "errors",
  cases: [
    {
      name: "every error class is exported, extends QshmError, and bears its name",
      run() {
        for (const name of CLASSES) {
          const Class = qshm[name];
          const error = new Class("what", { code: "c", operation: "o", key: "k" });
          assert.equal(Class.name, name);
          assert.equal(error.name, name);
          assert.ok(error instanceof QshmError && error instanceof Error);
          assert.equal(Object.getPrototypeOf(Class), QshmError);
          assert.equal(String(error), `${name}: what`);
          assert.match(error.stack ?? "", /what/);
          for (const other of CLASSES) assert.equal(error instanceof qshm[other], other === name);
        }
        assert.equal(new QshmError("what", { code: "c", operation: "o", key: "k" }).name, "QshmError");
      },
    },
    {
      name: "an error carries what it was made with",
      run() {
        const cause = new Error("because");
        const full = { code: "c", operation: "o", key: "k", syscall: "open", errno: 13, cause };
        const error = new QshmError("what", full);
        assert.deepEqual(
          [error.message, error.code, error.operation, error.key, error.syscall, error.errno, error.cause],
          ["what", "c", "o", "k", "open", 13, cause],
        );
        const bare = new QshmError("what", { code: "c", operation: "o", key: "k" });
        assert.deepEqual([bare.syscall, bare.errno, bare.cause], [undefined, undefined, undefined]);
        assert.equal("cause" in bare, false);
        const busy = new qshm.BusyError("what", { ...full, pid: 7 });
        assert.equal(busy.pid, 7);
        assert.equal(new qshm.BusyError("what", full).pid, undefined);
      },
    },
    {
      name: "create() of what is in use: AlreadyExistsError, in full",
      run() {
        using memory = SharedMemory.create(freshKey(), 1);
        const error = errorOf(() => SharedMemory.create(memory.key, 1));
        assert.equal(error.constructor, AlreadyExistsError);
        assert.deepEqual(
          [error.code, error.operation, error.key, error.syscall, error.errno],
          ["AlreadyExists", "create", memory.key, undefined, undefined],
        );
        assert.equal(
          error.message,
          `Cannot create shared memory "${memory.key}": it is in use (${memory.path}); ` +
            "attach to it, or choose another key",
        );
      },
    },
    {
      name: "attach() to nothing: NotFoundError, in full",
      run() {
        const key = freshKey();
        const error = errorOf(() => SharedMemory.attach(key));
        assert.equal(error.constructor, NotFoundError);
        assert.deepEqual(
          [error.code, error.operation, error.key, error.syscall, error.errno],
          ["NotFound", "attach", key, undefined, undefined],
        );
        const pattern = `^Cannot attach shared memory "${key}": it does not exist \\(/.*/m-${key}\\); create it first$`;
        assert.match(error.message, new RegExp(pattern));
      },
    },
    {
      name: "open() with another size: SizeMismatchError tells both, or at least the one that is there",
      run() {
        using memory = SharedMemory.create(freshKey(), 4097);
        const error = errorOf(() => SharedMemory.open(memory.key, 5));
        assert.equal(error.constructor, SizeMismatchError);
        assert.deepEqual([error.code, error.operation, error.key], ["InvalidSize", "open", memory.key]);
        assert.match(error.message, /^Cannot open shared memory ".*": it has 4097 bytes \(.*\); use one size/);
      },
    },
    {
      name: "create() of more than there is: OutOfResourcesError with the system call, and nothing is left",
      run() {
        for (const size of [2 ** 45, 2 ** 50, 2 ** 53 - 1]) {
          for (const make of [SharedMemory.create, SharedMemory.tryCreate, SharedMemory.open]) {
            const key = freshKey();
            const error = errorOf(() => make(key, size));
            assert.equal(error.constructor, OutOfResourcesError);
            assert.deepEqual([error.code, error.key, error.syscall], ["OutOfResources", key, "fallocate"]);
            assert.equal(typeof error.errno, "number");
            assert.match(
              error.message,
              new RegExp(`^Cannot (create|open) .*fallocate, errno ${error.errno}.*ask for less$`),
            );
            assert.equal(qshm.inspect("memory", key), undefined);
          }
        }
        assert.deepEqual(list(), []);
        SharedMemory.create(freshKey(), 1 << 20).detach();
      },
    },
    {
      name: "an error does not stick: what an earlier call failed with is not told of a later one",
      run() {
        const key = freshKey();
        const first = errorOf(() => SharedMemory.create(key, 2 ** 45));
        const second = errorOf(() => SharedMemory.attach(key));
        assert.equal(first.syscall, "fallocate");
        assert.deepEqual([second.syscall, second.errno], [undefined, undefined]);
        assert.doesNotMatch(second.message, /fallocate|errno/);
        using memory = SharedMemory.create(key, 1);
        using _lock = memory.lockSync();
        const third = errorOf(() => memory.lockSync());
        assert.equal(third.constructor, LockError);
        assert.deepEqual([third.syscall, third.errno], [undefined, undefined]);
      },
    },
    {
      name: "messages quote the key so that it cannot be mistaken for the rest",
      run() {
        const key = 'a": it is fine\n';
        const error = errorOf(() => SharedMemory.attach(key));
        assert.ok(
          error.message.startsWith('Cannot attach shared memory "a\\": it is fine\\n": it does not exist'),
          error.message,
        );
        assert.equal(error.key, key);
      },
    },
    {
      name: "calls after detach() throw TypeError that says what was tried on what",
      run() {
        const memory = SharedMemory.create(freshKey(), 1);
        memory.detach();
        const subject = `shared memory "${memory.key}": it is detached`;
        for (
          const [f, message] of [
            [() => memory.read(), `Cannot read ${subject}`],
            [() => memory.readInto(new Uint8Array(1)), `Cannot read ${subject}`],
            [() => memory.write(new Uint8Array(1)), `Cannot write ${subject}`],
            [() => memory.writeIfChanged(new Uint8Array(1)), `Cannot write ${subject}`],
            [() => memory.tryLock(), `Cannot lock ${subject}`],
            [() => memory.lockSync(), `Cannot lock ${subject}`],
            [() => memory.forceUnlock(), `Cannot unlock ${subject}`],
            [() => memory.revision, `Cannot read ${subject}`],
            [() => memory.release(), `Cannot read ${subject}`],
          ] as const
        ) {
          const error = thrownBy(f);
          assert.ok(error instanceof TypeError);
          assert.equal(error.message, message);
        }
        assert.throws(() => memory.lockOwner, TypeError);
      },
    },
  ],
};
