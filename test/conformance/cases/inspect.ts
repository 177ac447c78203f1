/** list, inspect, remove: what is told of segments in every state, and what may be removed. */

import assert from "node:assert/strict";
import {
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import {
  BusyError,
  IncompatibleError,
  inspect,
  list,
  NotFoundError,
  PermissionDeniedError,
  remove,
  SharedMemory,
} from "../../../mod.ts";
import { testDirectory } from "../../support/directory.ts";
import { poke } from "../../support/kernel.ts";
import { freshKey, type Suite } from "../case.ts";
import { errorOf } from "../helpers.ts";

/** A segment that nobody uses and nobody left in order: a copy of a live one's file, from elsewhere. */
function makeDead(directory: string, key: string): string {
  using memory = SharedMemory.create(freshKey("original"), 10);
  const path = `${directory}/m-${key}`;
  copyFileSync(memory.path, path);
  return path;
}

/** Fields of the header, which no version may move. */
const LAYOUT = 4;
const FLAGS = 7;
const FINGERPRINT = 8;

export const inspection: Suite = {
  name: "inspect",
  cases: [
    {
      name: "inspect() tells all of a live segment",
      run() {
        using memory = SharedMemory.create(freshKey(), 123);
        const info = inspect("memory", memory.key)!;
        assert.deepEqual(Object.keys(info).sort(), [
          "attached",
          "instance",
          "key",
          "kind",
          "lockOwner",
          "path",
          "persistent",
          "revision",
          "semaphore",
          "size",
          "state",
          "value",
          "waiting",
        ]);
        assert.equal(info.kind, "memory");
        assert.equal(info.key, memory.key);
        assert.equal(info.path, memory.path);
        assert.equal(info.size, 123);
        assert.equal(info.persistent, false);
        assert.equal(info.state, "live");
        assert.equal(info.lockOwner, undefined);
        assert.equal(info.attached.length, 1);
        const [process_] = info.attached;
        assert.equal(process_?.pid, process.pid);
        assert.equal(process_.alive, true);
        const started = process_.startedAt?.getTime() ?? NaN;
        assert.ok(Math.abs(started - performance.timeOrigin) < 60_000, `${started}, ${performance.timeOrigin}`);
      },
    },
    {
      name: "inspect() gives undefined where nothing is, and for another kind of the same key",
      run() {
        using memory = SharedMemory.create(freshKey(), 1);
        assert.equal(inspect("memory", freshKey()), undefined);
        for (const kind of ["value", "semaphore", "instance"] as const) {
          assert.equal(inspect(kind, memory.key), undefined);
        }
      },
    },
    {
      name: "inspect() tells every attachment, read-only ones too, and no more than there are",
      run() {
        using memory = SharedMemory.create(freshKey(), 1);
        using _second = SharedMemory.attach(memory.key);
        {
          using _third = SharedMemory.attach(memory.key, { readOnly: true });
          assert.deepEqual(inspect("memory", memory.key)?.attached.map(({ pid }) => pid), Array(3).fill(process.pid));
        }
        assert.equal(inspect("memory", memory.key)?.attached.length, 2);
      },
    },
    {
      name: "inspect() tells the lock's owner",
      run() {
        using memory = SharedMemory.create(freshKey(), 1);
        const lock = memory.lockSync();
        const owner = inspect("memory", memory.key)?.lockOwner;
        assert.deepEqual([owner?.pid, owner?.alive], [process.pid, true]);
        lock.unlock();
        assert.equal(inspect("memory", memory.key)?.lockOwner, undefined);
      },
    },
    {
      name: "inspect() and list() are a look, not a live object",
      run() {
        const memory = SharedMemory.create(freshKey(), 5);
        const info = inspect("memory", memory.key)!;
        memory.detach();
        assert.deepEqual([info.state, info.size, info.attached.length], ["live", 5, 1]);
      },
    },
    {
      name: "inspect() tells of persistent contents that nobody uses: dead, and kept",
      run() {
        const key = freshKey();
        SharedMemory.create(key, 9, { persistent: true }).detach();
        for (let i = 0; i < 2; i++) {
          const info = inspect("memory", key)!;
          assert.deepEqual([info.state, info.persistent, info.size], ["dead", true, 9]);
          assert.deepEqual(info.attached, []);
          assert.equal(info.lockOwner, undefined);
        }
        assert.equal(remove("memory", key), true);
        assert.equal(inspect("memory", key), undefined);
      },
    },
    {
      name: "list() gives everything, by kind and key, the same each time",
      run() {
        const keys = ["b", "a", "C", "10", "9", "ä", "a b", "~", "z".repeat(300)];
        const segments = keys.map((key, i) => SharedMemory.create(key, i + 1));
        const expected = [...keys].sort((a, b) => a < b ? -1 : 1);
        for (let i = 0; i < 3; i++) assert.deepEqual(list().map(({ key }) => key), expected);
        for (const info of list()) {
          assert.equal(info.size, keys.indexOf(info.key) + 1);
          assert.equal(info.attached[0]?.pid, process.pid);
          assert.deepEqual(info, inspect("memory", info.key));
        }
        for (const segment of segments) segment.detach();
        assert.deepEqual(list(), []);
      },
    },
    {
      name: "list() gives all of many",
      run() {
        const segments = Array.from({ length: 700 }, (_, i) => SharedMemory.create(`${i}-${"n".repeat(150)}`, 1));
        assert.equal(list().length, 700);
        for (const segment of segments) segment.detach();
      },
    },
    {
      name: "inspect() gives all of many attachments",
      run() {
        using memory = SharedMemory.create(freshKey(), 1);
        const others = Array.from({ length: 1900 }, () => undefined as SharedMemory | undefined);
        // As many as the system's limit on descriptors lets there be; two each.
        let made = 0;
        try {
          for (; made < others.length; made++) others[made] = SharedMemory.attach(memory.key);
        } catch (error) {
          if (made < 400) throw error;
          for (let i = 0; i < 10; i++) others[--made]!.detach();
        }
        const attached = inspect("memory", memory.key)!.attached;
        assert.equal(attached.length, made + 1);
        assert.ok(attached.every(({ pid }) => pid === process.pid));
        for (let i = 0; i < made; i++) others[i]!.detach();
      },
    },
    {
      name: "a key of 2,048 bytes is told whole",
      run() {
        for (const key of ["k".repeat(2047), "k".repeat(2048), "ä".repeat(1024)]) {
          using _memory = SharedMemory.create(key, 1);
          for (const info of [inspect("memory", key), list()[0]]) {
            assert.ok(info?.key === key, `${key.length} of ${key.slice(0, 1)} became ${info?.key.slice(-3)}`);
          }
        }
      },
    },
    {
      name: "a key of more than 2,048 bytes is cut at a character and marked",
      run() {
        for (
          const [key, told] of [
            ["k".repeat(2049), "k".repeat(2048) + "…"],
            ["k".repeat(10_000), "k".repeat(2048) + "…"],
            ["ä".repeat(1025), "ä".repeat(1024) + "…"],
            ["k" + "ä".repeat(1024), "k" + "ä".repeat(1023) + "…"],
            ["k" + "🦕".repeat(600), "k" + "🦕".repeat(511) + "…"],
          ] as const
        ) {
          using _memory = SharedMemory.create(key, 1);
          for (const info of [inspect("memory", key), list()[0]]) {
            assert.ok(info?.key === told, `${key.length} of ${key.slice(0, 3)} became ${info?.key.slice(-3)}`);
          }
        }
      },
    },
    {
      name: "inspect() and list() remove and change nothing, whatever they look at",
      needs: "system",
      run() {
        using directory = testDirectory();
        const path = makeDead(directory.path, "dead");
        const before = readFileSync(path);
        for (let i = 0; i < 3; i++) {
          assert.deepEqual(list({ directory: directory.path }).map(({ key, state }) => [key, state]), [[
            "dead",
            "dead",
          ]]);
          assert.equal(inspect("memory", "dead", { directory: directory.path })?.state, "dead");
        }
        assert.deepEqual(readFileSync(path), before);
      },
    },
    {
      name: "a dead segment is reclaimed: attach() throws NotFoundError and removes it",
      needs: "system",
      run() {
        using directory = testDirectory();
        const path = makeDead(directory.path, "dead");
        const error = errorOf(() => SharedMemory.attach("dead", { directory: directory.path }));
        assert.ok(error instanceof NotFoundError);
        assert.match(error.message, /processes that are gone/);
        assert.equal(existsSync(path), false);
      },
    },
    {
      name: "a dead segment is reclaimed: create() and open() make a new one, zeroed, and say `recovered`",
      needs: "system",
      run() {
        using directory = testDirectory();
        for (const make of [SharedMemory.create, SharedMemory.tryCreate, SharedMemory.open]) {
          const path = makeDead(directory.path, "dead");
          poke(path, readFileSync(path).length - 10, Uint8Array.of(1, 2, 3));
          using memory = make("dead", 20, { directory: directory.path });
          assert.deepEqual([memory!.recovered, memory!.created, memory!.size], [true, true, 20]);
          assert.ok(memory!.read().every((byte) => byte === 0));
        }
      },
    },
    {
      name: "attach() of persistent contents whose users crashed says `recovered` once",
      needs: "system",
      run() {
        using directory = testDirectory();
        const place = { directory: directory.path };
        {
          using memory = SharedMemory.create("original", 4, { ...place, persistent: true });
          memory.write(Uint8Array.of(1, 2, 3, 4));
          copyFileSync(memory.path, `${directory.path}/m-copy`); // as if killed here
        }
        {
          using memory = SharedMemory.attach("copy", place);
          assert.equal(memory.recovered, true);
          assert.deepEqual([...memory.read()], [1, 2, 3, 4]);
        }
        using memory = SharedMemory.attach("copy", place);
        assert.equal(memory.recovered, false);
      },
    },
    {
      name: "a file that is no segment is told as foreign, and reclaimed by create()",
      needs: "system",
      run() {
        using directory = testDirectory();
        const place = { directory: directory.path };
        for (const text of ["", "a", "hello, this is no segment at all", "x".repeat(20_000)]) {
          writeFileSync(`${directory.path}/m-foreign`, text);
          const info = inspect("memory", "foreign", place)!;
          assert.deepEqual([info.state, info.size, info.persistent, info.key], ["foreign", 0, false, "foreign"]);
          assert.deepEqual(list(place), [info]);
          using memory = SharedMemory.create("foreign", 3, place);
          assert.equal(memory.recovered, false, "nobody had used it");
        }
      },
    },
    {
      name: "a foreign file's key is what its name tells",
      needs: "system",
      run() {
        using directory = testDirectory();
        const digest = "0123456789abcdef".repeat(4);
        for (const name of ["m-a%20b", "v-%C3%A4", "s-%FF", `i-long~${digest}`]) {
          writeFileSync(`${directory.path}/${name}`, "");
        }
        assert.deepEqual(list({ directory: directory.path }).map(({ kind, key, state }) => [kind, key, state]), [
          ["instance", "long…", "foreign"],
          ["memory", "a b", "foreign"],
          ["semaphore", "%FF", "foreign"],
          ["value", "ä", "foreign"],
        ]);
      },
    },
    {
      name: "list() leaves out files that bear no segment's name",
      needs: "system",
      run() {
        using directory = testDirectory();
        for (const name of ["README", "m", "m-", "M-a", "b.1", "x.1", ".m-a", "qm-a"]) {
          writeFileSync(`${directory.path}/${name}`, "");
        }
        assert.deepEqual(list({ directory: directory.path }), []);
      },
    },
    {
      name: "list() gives the good segments though other files bear their names badly",
      needs: "system",
      run() {
        using directory = testDirectory();
        const place = { directory: directory.path };
        using good = SharedMemory.create("good", 1, place);
        symlinkSync("/proc/version", `${directory.path}/m-link`);
        symlinkSync("/nonexistent", `${directory.path}/m-nowhere`);
        mkdirSync(`${directory.path}/m-directory`);
        writeFileSync(Buffer.concat([Buffer.from(`${directory.path}/m-`), Buffer.of(0xff)]), "");
        writeFileSync(`${directory.path}/m-${"n".repeat(240)}`, "");
        writeFileSync(`${directory.path}/m-twice`, "");
        linkSync(`${directory.path}/m-twice`, `${directory.path}/elsewhere`);
        const found = list(place);
        assert.deepEqual(found.filter(({ state }) => state === "live").map(({ path }) => path), [good.path]);
      },
    },
    {
      name: "a link, a directory, a file with two names: PermissionDeniedError that says what it is, and it stays",
      needs: "system",
      run() {
        using directory = testDirectory();
        const place = { directory: directory.path };
        const target = `${directory.path}/target`;
        writeFileSync(target, "precious");
        symlinkSync(target, `${directory.path}/m-link`);
        mkdirSync(`${directory.path}/m-directory`);
        writeFileSync(`${directory.path}/m-twice`, "");
        linkSync(`${directory.path}/m-twice`, `${directory.path}/elsewhere`);
        for (
          const [key, what] of [
            ["link", /is a symbolic link/],
            ["directory", /is a directory/],
            ["twice", /has 2 hard links/],
          ] as const
        ) {
          for (
            const f of [
              () => SharedMemory.create(key, 1, place),
              () => SharedMemory.tryCreate(key, 1, place),
              () => SharedMemory.attach(key, place),
              () => SharedMemory.attach(key, { ...place, readOnly: true }),
              () => SharedMemory.open(key, 1, place),
              () => inspect("memory", key, place),
              () => remove("memory", key, place),
            ]
          ) {
            const error = errorOf(f);
            assert.ok(error instanceof PermissionDeniedError, `${error}`);
            assert.match(error.message, what);
            assert.match(error.message, new RegExp(`the file at its name .*m-${key}`));
          }
        }
        assert.equal(readFileSync(target, "utf8"), "precious");
        assert.deepEqual(directory.entries(), ["elsewhere", "m-directory", "m-link", "m-twice", "target"]);
      },
    },
    {
      name: "a segment of another layout that nobody keeps is told as foreign and reclaimed",
      needs: "system",
      run() {
        using directory = testDirectory();
        const place = { directory: directory.path };
        const path = makeDead(directory.path, "future");
        poke(path, LAYOUT, Uint8Array.of(99, 0));
        assert.equal(inspect("memory", "future", place)?.state, "foreign");
        using memory = SharedMemory.create("future", 1, place);
        assert.equal(memory.recovered, true);
      },
    },
    {
      name: "a segment of another layout that is persistent: IncompatibleError names both layouts, remove() removes it",
      needs: "system",
      run() {
        using directory = testDirectory();
        const place = { directory: directory.path };
        const path = makeDead(directory.path, "future");
        poke(path, LAYOUT, Uint8Array.of(99, 0));
        poke(path, FLAGS, Uint8Array.of(1));
        assert.deepEqual([inspect("memory", "future", place)].map((info) => [info?.state, info?.persistent]), [[
          "foreign",
          true,
        ]]);
        for (
          const f of [
            () => SharedMemory.attach("future", place),
            () => SharedMemory.tryAttach("future", place),
            () => SharedMemory.create("future", 1, place),
            () => SharedMemory.tryCreate("future", 1, place),
            () => SharedMemory.open("future", 10, place),
          ]
        ) {
          const error = errorOf(f);
          assert.ok(error instanceof IncompatibleError, `${error}`);
          assert.match(error.message, /has layout 99, this library has \d+/);
        }
        assert.ok(existsSync(path));
        assert.equal(remove("memory", "future", place), true);
      },
    },
    {
      name: "a damaged control block is told as corrupt, and refused where it must not be touched",
      needs: "system",
      run() {
        using directory = testDirectory();
        const place = { directory: directory.path };
        const damage: ((path: string) => void)[] = [
          (path) => poke(path, FINGERPRINT, Uint8Array.of(1, 2, 3, 4)),
          (path) => poke(path, 16, new Uint8Array(8).fill(255)), // where the payload begins
          (path) => poke(path, 24, new Uint8Array(8).fill(255)), // how long it is
          (path) => poke(path, 6, Uint8Array.of(2)), // of what kind it is
          (path) => truncateSync(path, 4096),
          (path) => truncateSync(path, 1 << 20),
        ];
        for (const harm of damage) {
          const path = makeDead(directory.path, "corrupt");
          harm(path);
          const info = inspect("memory", "corrupt", place)!;
          assert.deepEqual([info.state, info.size, info.key], ["corrupt", 0, "corrupt"]);
          poke(path, FLAGS, Uint8Array.of(1)); // persistent
          for (
            const f of [() => SharedMemory.attach("corrupt", place), () => SharedMemory.create("corrupt", 1, place)]
          ) {
            const error = errorOf(f);
            assert.ok(error instanceof IncompatibleError, `${error}`);
            assert.match(error.message, /is damaged/);
          }
          poke(path, FLAGS, Uint8Array.of(0));
          using memory = SharedMemory.open("corrupt", 1, place);
          assert.equal(memory.recovered, true);
        }
      },
    },
    {
      name: "a live segment whose control block is damaged admits nobody, and those attached go on",
      needs: "system",
      run() {
        using memory = SharedMemory.create(freshKey(), 4);
        const header = readFileSync(memory.path).subarray(0, 16);
        poke(memory.path, 0, new Uint8Array(16).fill(255));
        assert.throws(() => SharedMemory.attach(memory.key), IncompatibleError);
        assert.throws(() => SharedMemory.create(memory.key, 4), IncompatibleError);
        assert.equal(inspect("memory", memory.key)?.state, "foreign");
        assert.equal(inspect("memory", memory.key)?.attached.length, 1);
        memory.write(Uint8Array.of(1));
        memory.lockSync().unlock();
        poke(memory.path, 0, header);
        using other = SharedMemory.attach(memory.key);
        assert.equal(other.read()[0], 1);
      },
    },
    {
      name: "a stored key that does not belong to the file's name is not believed",
      needs: "system",
      run() {
        using directory = testDirectory();
        using memory = SharedMemory.create("true", 1, { directory: directory.path });
        for (const [size, text] of [[4, "lies"], [4, "tru\0"], [0, ""], [3, "true"], [0xffff, "true"]] as const) {
          const stored = Buffer.alloc(4 + text.length);
          stored.writeUInt32LE(size);
          stored.write(text, 4);
          poke(memory.path, 1024, stored);
          if (size <= 2048) assert.equal(inspect("memory", "true", { directory: directory.path })?.key, "true");
          else assert.doesNotThrow(() => list({ directory: directory.path }));
        }
      },
    },
    {
      name: "remove() gives false where nothing is",
      run() {
        assert.equal(remove("memory", freshKey()), false);
        assert.equal(remove("instance", freshKey(), { force: true }), false);
      },
    },
    {
      name: "remove() refuses what is in use: BusyError names the process and the way out",
      run() {
        using memory = SharedMemory.create(freshKey(), 1);
        for (const options of [undefined, {}, { force: false }]) {
          const error = errorOf(() => remove("memory", memory.key, options));
          assert.ok(error instanceof BusyError);
          assert.deepEqual([error.code, error.operation, error.key, error.pid], [
            "Busy",
            "remove",
            memory.key,
            process.pid,
          ]);
          assert.match(error.message, new RegExp(`in use .*process ${process.pid}.*force it`));
        }
        assert.equal(inspect("memory", memory.key)?.state, "live");
      },
    },
    {
      name: "remove() with force takes the name away; those attached go on among themselves",
      run() {
        const key = freshKey();
        using one = SharedMemory.create(key, 4);
        using two = SharedMemory.attach(key);
        assert.equal(remove("memory", key, { force: true }), true);
        assert.equal(remove("memory", key, { force: true }), false);
        assert.equal(inspect("memory", key), undefined);
        assert.throws(() => SharedMemory.attach(key), NotFoundError);

        one.write(Uint8Array.of(1, 2));
        assert.deepEqual([...two.read(0, 2)], [1, 2]);
        const lock = one.lockSync();
        assert.equal(two.tryLock(), undefined);
        assert.equal(two.lockOwner?.pid, process.pid);
        lock.unlock();

        const next = SharedMemory.create(key, 8);
        assert.deepEqual([next.recovered, next.size, next.read()[0]], [false, 8, 0]);
        one.detach();
        two.detach();
        assert.equal(inspect("memory", key)?.size, 8, "the old one's last detach() leaves the new one alone");
        next.detach();
        assert.equal(inspect("memory", key), undefined);
      },
    },
    {
      name: "remove() needs no force for what is dead, persistent, foreign or corrupt",
      needs: "system",
      run() {
        using directory = testDirectory();
        const place = { directory: directory.path };
        SharedMemory.create("persistent", 1, { ...place, persistent: true }).detach();
        makeDead(directory.path, "dead");
        writeFileSync(`${directory.path}/m-foreign`, "text");
        poke(makeDead(directory.path, "corrupt"), FINGERPRINT, Uint8Array.of(9));
        for (const key of ["dead", "persistent", "foreign", "corrupt"]) {
          assert.equal(remove("memory", key, place), true, key);
          assert.equal(remove("memory", key, place), false, key);
        }
        assert.deepEqual(directory.entries(), []);
      },
    },
    {
      name: "create() sweeps dead segments of other names, but nothing that is live, persistent or foreign",
      needs: "system",
      run() {
        using directory = testDirectory();
        const place = { directory: directory.path };
        using _live = SharedMemory.create("live", 1, place);
        SharedMemory.create("persistent", 1, { ...place, persistent: true }).detach();
        writeFileSync(`${directory.path}/m-foreign`, "text");
        using original = SharedMemory.create("original", 1, place);
        for (let i = 0; i < 5; i++) copyFileSync(original.path, `${directory.path}/m-dead${i}`);
        copyFileSync(original.path, `${directory.path}/i-guard`);
        using _next = SharedMemory.create("next", 1, place);
        assert.deepEqual(directory.entries(), [
          "i-guard",
          "m-foreign",
          "m-live",
          "m-next",
          "m-original",
          "m-persistent",
        ]);
      },
    },
    {
      name: "list(), inspect() and remove() refuse options that they do not know",
      run() {
        const wrong = [null, 1, "x", { dir: "/x" }, { force: true }, { persistent: true }, { directory: 1 }, {
          directory: null,
        }];
        for (const options of wrong) {
          assert.throws(() => list(options as never), TypeError);
          assert.throws(() => inspect("memory", "a", options as never), TypeError);
        }
        for (
          const options of [null, 1, { forced: true }, { force: 1 }, { force: "yes" }, { force: null }, {
            directory: 1,
          }]
        ) {
          assert.throws(() => remove("memory", "a", options as never), TypeError);
        }
      },
    },
    {
      name: "list(), inspect() and remove() of a directory that is not there say so",
      run() {
        const directory = "/nonexistent/qshm";
        for (
          const f of [
            () => list({ directory }),
            () => inspect("memory", "a", { directory }),
            () => remove("memory", "a", { directory }),
          ]
        ) {
          const error = errorOf(f);
          assert.equal(error.code, "DirectoryNotFound");
          assert.match(error.message, /its directory does not exist.*\/nonexistent\/qshm.*create the directory/);
        }
      },
    },
  ],
};
