/** Options: where segments are, who may open them, and that a misspelt option does not go unseen. */

import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { relative } from "node:path";
import { list, PermissionDeniedError, SharedMemory } from "../../../mod.ts";
import { testDirectory } from "../../support/directory.ts";
import { freshKey, type Suite } from "../case.ts";
import { errorOf, thrownBy } from "../helpers.ts";

/** Every call that takes a directory to make, or find, a segment in. */
function inDirectory(directory: string): (() => unknown)[] {
  return [
    () => SharedMemory.create("a", 1, { directory }),
    () => SharedMemory.tryCreate("a", 1, { directory }),
    () => SharedMemory.attach("a", { directory }),
    () => SharedMemory.tryAttach("a", { directory }),
    () => SharedMemory.open("a", 1, { directory }),
    () => list({ directory }),
  ];
}

export const options: Suite = {
  name: "options",
  cases: [
    {
      name: "options that are no object throw TypeError",
      run() {
        for (const value of [null, 1, "x", true, 1n, Symbol("x"), () => 1]) {
          for (
            const f of [
              () => SharedMemory.create(freshKey(), 1, value as never),
              () => SharedMemory.tryCreate(freshKey(), 1, value as never),
              () => SharedMemory.attach(freshKey(), value as never),
              () => SharedMemory.tryAttach(freshKey(), value as never),
              () => SharedMemory.open(freshKey(), 1, value as never),
            ]
          ) {
            const error = thrownBy(f);
            assert.ok(error instanceof TypeError, `${error}`);
            assert.match(error.message, /^Options must be an object: got /);
          }
        }
        assert.deepEqual(list(), []);
      },
    },
    {
      name: "options that are undefined, or left out one by one, are defaults",
      run() {
        const nothing = { directory: undefined, persistent: undefined, mode: undefined } as never;
        for (const value of [undefined, {}, nothing, Object.create(null)]) {
          using memory = SharedMemory.create(freshKey(), 1, value);
          assert.equal(list()[0]?.persistent, false);
          using reader = SharedMemory.attach(memory.key, value === nothing ? { readOnly: undefined } as never : value);
          assert.equal(reader.readOnly, false);
        }
      },
    },
    {
      name: "an unknown or misspelt option throws TypeError that names it and those that are known",
      run() {
        const life = /^Unknown option "(.*)": known are "directory", "persistent", "mode"$/;
        for (const name of ["persist", "Persistent", "dir", "size", "readOnly", "timeout", "force", ""]) {
          for (
            const f of [
              () => SharedMemory.create(freshKey(), 1, { [name]: undefined } as never),
              () => SharedMemory.tryCreate(freshKey(), 1, { [name]: true } as never),
              () => SharedMemory.open(freshKey(), 1, { directory: undefined, [name]: 1 } as never),
            ]
          ) {
            const error = thrownBy(f);
            assert.ok(error instanceof TypeError, `${error}`);
            assert.equal(life.exec(error.message)?.[1], name);
          }
        }
        for (const name of ["readonly", "ReadOnly", "persistent", "mode"]) {
          for (
            const f of [
              () => SharedMemory.attach(freshKey(), { [name]: true } as never),
              () => SharedMemory.tryAttach(freshKey(), { [name]: true } as never),
            ]
          ) {
            assert.throws(f, {
              name: "TypeError",
              message: `Unknown option "${name}": known are "directory", "readOnly"`,
            });
          }
        }
        assert.deepEqual(list(), []);
      },
    },
    {
      name: "persistent and readOnly throw TypeError for anything but a boolean",
      run() {
        for (const value of [null, 0, 1, "true", "", {}, []]) {
          for (const make of [SharedMemory.create, SharedMemory.open]) {
            const error = thrownBy(() => make(freshKey(), 1, { persistent: value as never }));
            assert.match(`${error}`, /^TypeError: Persistent must be a boolean: got /);
          }
          const error = thrownBy(() => SharedMemory.attach(freshKey(), { readOnly: value as never }));
          assert.match(`${error}`, /^TypeError: ReadOnly must be a boolean: got /);
        }
        assert.deepEqual(list(), []);
      },
    },
    {
      name: "mode lets the owner read and write, the group what it says, and others nothing",
      run() {
        for (const mode of [0o600, 0o640, 0o660, 0o620, 0o700, 0o770, undefined]) {
          using memory = SharedMemory.create(freshKey(), 1, { mode } as never);
          using opened = SharedMemory.open(memory.key, 1, { mode } as never);
          assert.equal(opened.created, false);
        }
        for (const mode of [0, 0o060, 0o400, 0o200, 0o644, 0o604, 0o602, 0o601, 0o666, 0o777]) {
          const error = thrownBy(() => SharedMemory.create(freshKey(), 1, { mode }));
          assert.ok(error instanceof RangeError, `${mode.toString(8)}: ${error}`);
          assert.match(
            error.message,
            new RegExp(`^Mode must let the owner .*such as 0o660: got 0o${mode.toString(8)}$`),
          );
        }
        for (const mode of [-1, 0.5, NaN, Infinity, 0o1600, 0o4600, 0o100600, 2 ** 32 + 0o600]) {
          assert.throws(() => SharedMemory.create(freshKey(), 1, { mode }), RangeError, `${mode}`);
        }
        for (const mode of ["600", "0o600", null, {}, 384n, true]) {
          assert.throws(() => SharedMemory.open(freshKey(), 1, { mode: mode as never }), TypeError, `${mode}`);
        }
        assert.deepEqual(list(), []);
      },
    },
    {
      name: "mode is the file's, whatever the umask is; the default is 0600",
      needs: "system",
      run() {
        for (const umask of [0, 0o077, 0o777]) {
          const before = process.umask(umask);
          try {
            for (
              const [mode, expected] of [[undefined, 0o600], [0o600, 0o600], [0o660, 0o660], [0o640, 0o640]] as const
            ) {
              using memory = SharedMemory.create(freshKey(), 1, mode === undefined ? {} : { mode });
              assert.equal(statSync(memory.path).mode & 0o7777, expected, `umask ${umask.toString(8)}`);
            }
          } finally {
            process.umask(before);
          }
        }
      },
    },
    {
      name: "directory: segments of the same key in different ones do not meet",
      needs: "system",
      run() {
        using one = testDirectory();
        using two = testDirectory();
        using first = SharedMemory.create("a", 1, { directory: one.path });
        using second = SharedMemory.create("a", 2, { directory: two.path });
        assert.equal(first.path, `${one.path}/m-a`);
        assert.deepEqual([first.size, second.size], [1, 2]);
        assert.deepEqual(list({ directory: two.path }).map(({ size }) => size), [2]);
        assert.equal(SharedMemory.tryAttach("a"), undefined);
        using found = SharedMemory.attach("a", { directory: two.path });
        assert.equal(found.size, 2);
      },
    },
    {
      name: "directory may be relative, end in a slash, hold dots, spaces and letters of all scripts",
      needs: "system",
      run() {
        using place = testDirectory();
        const odd = `${place.path}/a b ä 日本 🦕 %41`;
        mkdirSync(odd, 0o700);
        using memory = SharedMemory.create("a", 1, { directory: odd });
        assert.ok(existsSync(`${odd}/m-a`));
        for (
          const directory of [relative(process.cwd(), odd), `${odd}/`, `${odd}//`, `${place.path}/./../${odd.slice(9)}`]
        ) {
          using other = SharedMemory.attach("a", { directory });
          assert.equal(other.created, false);
          assert.ok(existsSync(other.path), other.path);
          assert.equal(statSync(other.path).ino, statSync(memory.path).ino);
        }
      },
    },
    {
      name: "directory that goes away while attached: those attached go on, and detach() is quiet",
      needs: "system",
      run() {
        using place = testDirectory();
        const directory = `${place.path}/gone`;
        mkdirSync(directory, 0o700);
        using memory = SharedMemory.create("a", 1, { directory });
        using other = SharedMemory.attach("a", { directory });
        rmSync(directory, { recursive: true });
        memory.write(Uint8Array.of(5));
        assert.equal(other.read()[0], 5);
        other.lockSync().unlock();
        assert.equal(errorOf(() => SharedMemory.attach("a", { directory })).code, "DirectoryNotFound");
      },
    },
    {
      name: "directory of the wrong kind throws TypeError; so do an empty one, NUL and lone surrogates",
      run() {
        for (
          const directory of [null, 1, true, {}, ["/tmp"], new URL("file:///tmp"), "", "\0", "/tmp\0", "/tmp/\ud800"]
        ) {
          for (const f of inDirectory(directory as string)) {
            const error = thrownBy(f);
            assert.ok(error instanceof TypeError, `${directory}: ${error}`);
            assert.match(error.message, /^Directory must /);
          }
        }
      },
    },
    {
      name: "directory that does not exist: an error with the code DirectoryNotFound, also from tryAttach()",
      run() {
        for (const directory of ["/nonexistent", "/nonexistent/a/b", "nonexistent"]) {
          for (const f of inDirectory(directory)) {
            const error = errorOf(f);
            assert.equal(error.code, "DirectoryNotFound");
            assert.match(error.message, /its directory does not exist \(.*nonexistent.*\); create the directory/);
          }
        }
      },
    },
    {
      name: "directory that is a file, or below one: an error that says so",
      needs: "system",
      run() {
        using place = testDirectory();
        writeFileSync(`${place.path}/file`, "");
        for (const f of inDirectory(`${place.path}/file`)) {
          const error = errorOf(f);
          assert.ok(error instanceof PermissionDeniedError, `${error}`);
          assert.match(error.message, /its directory is a file/);
        }
        for (const f of inDirectory(`${place.path}/file/below`)) assert.notEqual(errorOf(f).code, "NotFound");
      },
    },
    {
      name: "directory that is a symbolic link is refused",
      needs: "system",
      run() {
        using place = testDirectory();
        mkdirSync(`${place.path}/real`, 0o700);
        symlinkSync(`${place.path}/real`, `${place.path}/link`);
        for (const directory of [`${place.path}/link`, `${place.path}/link/`]) {
          for (const f of inDirectory(directory)) {
            const error = errorOf(f);
            assert.ok(error instanceof PermissionDeniedError, `${error}`);
            assert.match(error.message, /its directory is a symbolic link/);
          }
        }
      },
    },
    {
      name: "directory that others may write to is refused, sticky or not; one for a group is not",
      needs: "system",
      run() {
        using place = testDirectory();
        const directory = `${place.path}/open`;
        mkdirSync(directory);
        for (const mode of [0o777, 0o1777, 0o702]) {
          chmodSync(directory, mode);
          for (const f of inDirectory(directory)) {
            const error = errorOf(f);
            assert.ok(error instanceof PermissionDeniedError, `${error}`);
            assert.match(
              error.message,
              new RegExp(`its directory is open to others \\(mode ${mode.toString(8).padStart(4, "0")}\\)`),
            );
            assert.match(error.message, /use a directory of your own/);
          }
        }
        for (const mode of [0o700, 0o755, 0o770, 0o775]) {
          chmodSync(directory, mode);
          SharedMemory.create("a", 1, { directory, mode: 0o660 }).detach();
        }
      },
    },
    {
      name: "a file that others may write to is refused",
      needs: "system",
      run() {
        using memory = SharedMemory.create(freshKey(), 1);
        chmodSync(memory.path, 0o602);
        const error = errorOf(() => SharedMemory.attach(memory.key));
        assert.ok(error instanceof PermissionDeniedError);
        assert.match(error.message, /the file at its name is open to others \(mode 0602\)/);
        chmodSync(memory.path, 0o600);
        SharedMemory.attach(memory.key).detach();
      },
    },
    {
      name: "directory of a path that is too long is an error of the library, no crash",
      run() {
        for (const length of [4095, 4096, 4200, 4607, 4608, 4609, 5000, 100_000]) {
          for (const path of ["/" + "d".repeat(length - 1), "/d".repeat(length / 2)]) {
            for (const f of inDirectory(path)) {
              const error = errorOf(f);
              assert.ok(["UnknownError", "DirectoryNotFound"].includes(error.code), `${length}: ${error.code}`);
              assert.ok(error.code === "DirectoryNotFound" || error.errno === 36, `${length}: ${error.errno}`);
            }
          }
        }
      },
    },
  ],
};
