/** Unsafe directories, and names that something else stands at: refused with a reason, and nothing is destroyed. */

import {
  chmodSync,
  chownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { execFileSync } from "node:child_process";
import { createServer } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { testDirectory } from "../../support/directory.ts";
import { Peer } from "../../support/peer.ts";
import { RUNTIMES } from "../../support/runtimes.ts";
import { because, SKIPS } from "../../support/skips.ts";

const NOBODY = 65534;

interface Place {
  readonly what: string;
  readonly reason: RegExp;
  readonly root?: boolean;
  /** Puts it at `path`; `safe` is a safe directory beside it. */
  make(path: string, safe: string): void | Promise<unknown>;
}

const directories: readonly Place[] = [
  { what: "a link", reason: /its directory is a symbolic link/, make: (path, safe) => symlinkSync(safe, path) },
  { what: "a file", reason: /its directory is a file/, make: (path) => writeFileSync(path, "mine") },
  {
    what: "world-writable",
    reason: /its directory is open to others \(mode 0777\)/,
    make: (path) => {
      mkdirSync(path);
      chmodSync(path, 0o777);
    },
  },
  {
    what: "world-writable and sticky",
    reason: /its directory is open to others \(mode 1777\)/,
    make: (path) => {
      mkdirSync(path);
      chmodSync(path, 0o1777);
    },
  },
  {
    what: "another user's",
    reason: /its directory belongs to user 65534/,
    root: true,
    make: (path) => {
      mkdirSync(path, 0o700);
      chownSync(path, NOBODY, NOBODY);
    },
  },
];

const names: readonly Place[] = [
  {
    what: "a link to a file",
    reason: /the file at its name is a symbolic link/,
    make: (path, safe) => {
      writeFileSync(`${safe}/target`, "mine", { mode: 0o600 });
      symlinkSync(`${safe}/target`, path);
    },
  },
  {
    what: "a link to nothing",
    reason: /is a symbolic link/,
    make: (path, safe) => symlinkSync(`${safe}/nothing`, path),
  },
  {
    what: "a FIFO",
    reason: /the file at its name is a FIFO/,
    make: (path) => void execFileSync("mkfifo", ["-m", "600", path]),
  },
  { what: "a directory", reason: /the file at its name is a directory/, make: (path) => mkdirSync(path, 0o700) },
  {
    what: "a hard link",
    reason: /the file at its name has 2 hard links/,
    make: (path, safe) => {
      writeFileSync(`${safe}/linked`, "mine", { mode: 0o600 });
      linkSync(`${safe}/linked`, path);
    },
  },
  {
    what: "a socket",
    reason: /the file at its name is a socket/,
    make: (path) => new Promise((resolve) => createServer().listen(path, () => resolve(undefined)).unref()),
  },
  {
    what: "a file open to others",
    reason: /the file at its name is open to others/,
    make: (path) => {
      writeFileSync(path, "mine");
      chmodSync(path, 0o606);
    },
  },
  {
    what: "another user's file",
    reason: /the file at its name belongs to user 65534/,
    root: true,
    make: (path) => {
      writeFileSync(path, "mine", { mode: 0o600 });
      chownSync(path, NOBODY, NOBODY);
    },
  },
];

/** What must not change: type, mode, owner, size, identity. */
function traits(path: string): unknown {
  const { mode, uid, size, ino, nlink } = lstatSync(path);
  return { mode, uid, size, ino, nlink };
}

for (const runtime of RUNTIMES) {
  describe(`places in ${runtime}`, () => {
    let peer: Peer;
    const home = testDirectory();
    beforeAll(async () => {
      peer = await Peer.start(runtime, { directory: home.path });
    });
    afterAll(async () => {
      await peer.kill();
      home[Symbol.dispose]();
    });

    /** The name and message of the error of each call. */
    function tryAll(directory: string): Promise<Record<string, string>> {
      return peer.run(({ SharedMemory, inspect }, _state, directory) => {
        const calls = {
          create: () => SharedMemory.create("key", 64, { directory }),
          attach: () => SharedMemory.attach("key", { directory }),
          readOnly: () => SharedMemory.attach("key", { directory, readOnly: true }),
          open: () => SharedMemory.open("key", 64, { directory }),
          inspect: () => inspect("memory", "key", { directory }),
        };
        return Object.fromEntries(
          Object.entries(calls).map(([name, call]) => {
            try {
              call();
              return [name, "no error"];
            } catch (error) {
              return [name, `${(error as Error).name}: ${(error as Error).message}`];
            }
          }),
        );
      }, directory);
    }

    function expectRefused(errors: Record<string, string>, reason: RegExp): void {
      expect(Object.keys(errors)).toHaveLength(5);
      for (const [call, error] of Object.entries(errors)) {
        expect(error, call).toMatch(/^PermissionDeniedError: /);
        expect(error, call).toMatch(reason);
      }
    }

    for (const { what, reason, root, make } of directories) {
      const skip = root ? SKIPS.root : undefined;
      it.skipIf(skip)(
        because(`create() and its kin throw PermissionDeniedError when the directory is ${what}`, skip),
        async () => {
          using place = testDirectory();
          const path = `${place.path}/directory`;
          mkdirSync(`${place.path}/safe`, 0o700);
          await make(path, `${place.path}/safe`);
          const before = traits(path);
          expectRefused(await tryAll(path), reason);
          expect(traits(path)).toEqual(before);
          expect(place.entries()).toEqual(["directory", "safe"]);
        },
      );
    }

    it("create() throws DirectoryNotFound when the directory is missing", async () => {
      using place = testDirectory();
      const errors = await tryAll(`${place.path}/missing`);
      for (const error of Object.values(errors)) expect(error).toMatch(/^QshmError: .*its directory does not exist/);
      expect(place.entries()).toEqual([]);
    });

    for (const { what, reason, root, make } of names) {
      const skip = root ? SKIPS.root : undefined;
      it.skipIf(skip)(
        because(`create() and its kin throw PermissionDeniedError when the name is ${what}`, skip),
        async () => {
          using place = testDirectory();
          using elsewhere = testDirectory();
          const path = `${place.path}/m-key`;
          await make(path, elsewhere.path);
          const before = traits(path);
          expectRefused(await tryAll(place.path), reason);
          // A create of another name sweeps: it leaves this one alone.
          const swept = await peer.run(({ SharedMemory }, _state, directory) => {
            const memory = SharedMemory.create("other", 64, { directory });
            return memory.detach();
          }, place.path);
          expect(swept).toBe(true);
          expect(traits(path)).toEqual(before);
          for (const name of elsewhere.entries()) {
            expect(readFileSync(`${elsewhere.path}/${name}`, "utf8")).toBe("mine");
          }
        },
      );
    }

    it("list() shows the others when something unsafe stands at one name", async () => {
      using place = testDirectory();
      execFileSync("mkfifo", ["-m", "600", `${place.path}/m-planted`]);
      symlinkSync("/nothing", `${place.path}/m-link`);
      const listed = await peer.run(({ SharedMemory, list }, _state, directory) => {
        const memory = SharedMemory.create("sound", 64, { directory });
        try {
          return list({ directory }).map(({ key }) => key);
        } finally {
          memory.detach();
        }
      }, place.path);
      expect(listed).toContain("sound");
    });
  });
}
