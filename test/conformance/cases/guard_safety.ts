/** Files of guards that hold anything whatever: answers or typed errors, never two holders, never a crash. */

import assert from "node:assert/strict";
import { copyFileSync, existsSync, readFileSync, truncateSync, unlinkSync, writeFileSync } from "node:fs";
import {
  AlreadyRunningError,
  BusyError,
  IncompatibleError,
  inspect,
  list,
  QshmError,
  remove,
  RunningInstance,
  SharedMemory,
  SingleInstance,
} from "../../../mod.ts";
import { testDirectory } from "../../support/directory.ts";
import { poke } from "../../support/kernel.ts";
import type { Random } from "../../support/random.ts";
import { freshKey, type Suite } from "../case.ts";
import { bytesOf, errorOf, refusalOf, rejectionOf } from "../helpers.ts";
import { randomBytes, withRandomAsync } from "../random.ts";

/** Where things stand in a guard's file (c/src/layout.h). */
const AT = {
  layout: 4,
  fingerprint: 8,
  payload: 16,
  attached: 36,
  reign: 448,
  holder: 464,
  messages: 8192,
  info: 12288,
  pid: 12288,
  cwdSize: 12292,
  bodySize: 12296,
  cwd: 12352,
  body: 16448,
  end: 77824,
};

/** What is written where. */
type Harm = readonly [what: string, at: number, bytes: Uint8Array];

function hold(name: string, directory?: string): SingleInstance {
  const guard = SingleInstance.tryAcquire(name, {
    args: ["first", "second"],
    data: { some: ["data"] },
    ...(directory !== undefined && { directory }),
  });
  assert.ok(guard !== undefined);
  return guard;
}

function u32(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer);
}

/** Overwrites some part of the file, small or large, by what is random, or all the same. */
function harm(random: Random, path: string): void {
  const [from, length] = random.of(
    [
      [0, AT.end],
      [0, 40],
      [AT.payload, 24],
      [32, 8],
      [AT.reign, 24],
      [AT.holder, 4],
      [1024, 100],
      [4096, AT.messages],
      [AT.messages, 4096],
      [AT.info, 65536],
      [AT.info, 64],
      [AT.pid, 12],
      [AT.cwdSize, 8],
      [AT.cwd, 100],
      [AT.body, 100],
      [AT.body, 4],
    ] as const,
  );
  const kind = random.below(5);
  const bytes = kind === 0
    ? new Uint8Array(length).fill(255)
    : kind === 1
    ? new Uint8Array(length)
    : randomBytes(random, length);
  poke(path, from, bytes);
  if (kind === 4) { // one byte of what was there before is enough for many mistakes
    poke(path, random.below(AT.end), Uint8Array.of(random.below(256)));
  }
}

/** What a call gives, or the error it fails with, which must be one of the library's. */
async function quietly<T>(f: () => T | Promise<T>): Promise<T | QshmError> {
  try {
    return await f();
  } catch (error) {
    if (!(error instanceof QshmError)) throw error;
    return error;
  }
}

export const guardSafety: Suite = {
  name: "guard safety",
  cases: [
    {
      name: "whatever the file of a held guard holds, nobody else holds it, and all get answers or typed errors",
      needs: "system",
      run() {
        return withRandomAsync(async (random) => {
          for (let round = 0; round < 25; round++) {
            const name = freshKey();
            const guard = hold(name);
            const { path } = inspect("instance", name)!;
            harm(random, path);
            const refused = await quietly(() => SingleInstance.acquire(name));
            assert.ok(refused instanceof QshmError, `round ${round}: a second one held it`);
            assert.equal(await quietly(() => SingleInstance.tryAcquire(name)) instanceof SingleInstance, false);
            const waited = await quietly(() => SingleInstance.acquire(name, { timeout: 1 }));
            assert.ok(waited instanceof QshmError);
            const running = await quietly(() => SingleInstance.connect(name));
            assert.ok(running instanceof RunningInstance || running instanceof QshmError);
            await quietly(() => inspect("instance", name));
            await quietly(() => list());
            const removed = await quietly(() => remove("instance", name, { force: true }));
            assert.ok(removed instanceof BusyError, `${removed}`);
            assert.ok(existsSync(path));
            assert.equal(guard.lost.aborted, false);
            guard.release();
            const next = await quietly(() => SingleInstance.tryAcquire(name));
            assert.ok(next instanceof SingleInstance || next instanceof QshmError, `${next}`);
            if (next instanceof SingleInstance) next.release();
            await quietly(() => remove("instance", name, { force: true }));
            assert.equal(existsSync(path), false);
          }
        });
      },
    },
    {
      name: "whatever the file of a dead guard holds, it is held by the next one, or refused with a typed error",
      needs: "system",
      run() {
        return withRandomAsync(async (random) => {
          using directory = testDirectory();
          const place = { directory: directory.path };
          using _original = hold("original", directory.path);
          for (let round = 0; round < 40; round++) {
            const path = `${directory.path}/i-dead`;
            copyFileSync(`${directory.path}/i-original`, path);
            harm(random, path);
            const sizes = [0, 1, 16, 4096, 8192, AT.info, AT.end - 1, AT.end + 4096];
            if (random.below(5) === 0) truncateSync(path, random.of(sizes));
            assert.ok(await quietly(() => SingleInstance.connect("dead", place)) instanceof QshmError);
            await quietly(() => inspect("instance", "dead", place));
            assert.equal((await quietly(() => list(place)) as unknown[]).length, 2);
            const guard = await quietly(() => random.below(2) === 0
              ? SingleInstance.tryAcquire("dead", place)
              : SingleInstance.acquire("dead", { ...place, timeout: 1 })
            );
            if (guard instanceof SingleInstance) {
              const next = await quietly(() => SingleInstance.tryAcquire("dead", place));
              assert.equal(next, undefined, "it guards");
              using running = await SingleInstance.connect("dead", place);
              assert.equal(running.info.pid, process.pid);
              guard.release();
            } else {
              assert.ok(guard instanceof IncompatibleError || guard instanceof AlreadyRunningError, `${guard}`);
            }
            await quietly(() => remove("instance", "dead", { ...place, force: true }));
            assert.deepEqual(directory.entries(), ["i-original"]);
          }
        });
      },
    },
    {
      name: "info that cannot be understood is not told, and who holds the guard is: the kernel's word",
      needs: "system",
      async run() {
        const name = freshKey();
        using _guard = hold(name);
        const { path } = inspect("instance", name)!;
        const whole = readFileSync(path);
        const bodySize = whole.readUInt32LE(AT.bodySize);
        const argsSize = whole.readUInt32LE(AT.body);
        const dataAt = AT.body + 4 + argsSize;
        const damages: Harm[] = [
          ["cwd larger than there is room", AT.cwdSize, u32(4097)],
          ["body larger than there is room", AT.bodySize, u32(61377)],
          ["both huge", AT.cwdSize, new Uint8Array(8).fill(255)],
        ];
        const riddles: Harm[] = [
          ["no body", AT.bodySize, u32(0)],
          ["half a length", AT.bodySize, u32(3)],
          ["no data", AT.bodySize, u32(4 + argsSize)],
          ["data cut", AT.bodySize, u32(bodySize - 1)],
          ["args longer than the body", AT.body, u32(bodySize)],
          ["args of 4 GiB", AT.body, u32(0xffffffff)],
          ["no args", AT.body, u32(0)],
          ["args that are no JSON", AT.body + 4, bytesOf("(")],
          ["args that are no array", AT.body + 4, bytesOf("0" + " ".repeat(argsSize - 1))],
          ["args that are null", AT.body + 4, bytesOf("null" + " ".repeat(argsSize - 4))],
          ["args that are no strings", AT.body + 4, bytesOf("[1]" + " ".repeat(argsSize - 3))],
          ["args that are no UTF-8", AT.body + 6, Uint8Array.of(0xff)],
          ["data of an unknown kind", dataAt, Uint8Array.of(3)],
          ["data that is no JSON", dataAt + 1, bytesOf("}")],
          ["data that is no UTF-8", dataAt + 4, Uint8Array.of(0xc0)],
          ["an id of nobody", AT.holder, u32(0x7fffffff)],
          ["an id beyond all", AT.holder, u32(0xffffffff)],
          ["no id", AT.holder, u32(0)],
        ];
        for (const [what, at, bytes] of [...damages, ...riddles]) {
          poke(path, at, bytes);
          const isDamage = damages.some(([damage]) => damage === what);
          const error = await refusalOf(SingleInstance.acquire(name));
          assert.deepEqual([error.primary, error.pid], [undefined, process.pid], what);
          const held = `Cannot acquire instance "${name}": process ${process.pid} holds it`;
          assert.equal(error.message.startsWith(isDamage ? `${held}: ` : held), true, error.message);
          assert.equal(error.message.includes("it is damaged"), isDamage, error.message);
          assert.equal(SingleInstance.tryAcquire(name), undefined, what);
          const refusal = await rejectionOf(SingleInstance.connect(name));
          assert.ok(refusal instanceof (isDamage ? IncompatibleError : BusyError), `${what}: ${refusal}`);
          assert.ok(refusal.message.includes(`process ${process.pid}`), `${what}: ${refusal}`);
          poke(path, 0, whole);
        }
        using running = await SingleInstance.connect(name);
        assert.deepEqual(running.info.args, ["first", "second"]);
      },
    },
    {
      name: "info that lies is told, but for what the kernel knows better",
      needs: "system",
      async run() {
        const name = freshKey();
        using _guard = hold(name);
        const { path } = inspect("instance", name)!;
        poke(path, AT.pid, u32(1));
        poke(path, AT.info + 16, new Uint8Array(Float64Array.of(NaN).buffer));
        poke(path, AT.cwd, bytesOf("\xff"));
        using running = await SingleInstance.connect(name);
        const { primary, pid } = await refusalOf(SingleInstance.acquire(name));
        for (const info of [running.info, primary!]) {
          assert.deepEqual([info.pid, info.alive, info.args], [process.pid, true, ["first", "second"]]);
          const started = info.startedAt?.getTime() ?? NaN;
          assert.ok(Math.abs(started - performance.timeOrigin) < 60_000, `${started}`);
        }
        assert.equal(pid, process.pid);
      },
    },
    {
      name: "a held guard of another layout, or damaged, counts as held: the error says why, connect() is refused",
      needs: "system",
      async run() {
        const name = freshKey();
        const guard = hold(name);
        const { path } = inspect("instance", name)!;
        const header = readFileSync(path).subarray(0, 40);
        for (
          const [at, bytes, why, state] of [
            [AT.layout, Uint8Array.of(99, 0), /has layout 99, this library has \d+/, "foreign"],
            [0, new Uint8Array(16), /is no segment of qshm/, "foreign"],
            [AT.fingerprint, new Uint8Array(8), /is damaged/, "corrupt"],
            [AT.payload, new Uint8Array(16).fill(255), /is damaged/, "corrupt"],
          ] as const
        ) {
          poke(path, at, bytes);
          for (const timeout of [0, 20]) {
            const error = await refusalOf(SingleInstance.acquire(name, { timeout }));
            assert.ok(error.cause instanceof IncompatibleError);
            assert.deepEqual([error.primary, error.pid], [undefined, process.pid]);
            assert.match(error.message, why);
          }
          assert.equal(SingleInstance.tryAcquire(name), undefined);
          const error = await rejectionOf(SingleInstance.connect(name));
          assert.ok(error instanceof IncompatibleError, `${error}`);
          assert.match(error.message, why);
          assert.equal(inspect("instance", name)?.state, state);
          assert.ok(errorOf(() => remove("instance", name, { force: true })) instanceof BusyError);
          poke(path, 0, header);
        }
        guard.release();
        assert.deepEqual(list(), []);
      },
    },
    {
      name: "who waits for a guard of another layout gets it once that is gone",
      needs: "system",
      async run() {
        const name = freshKey();
        const guard = hold(name);
        const { path } = inspect("instance", name)!;
        poke(path, AT.layout, Uint8Array.of(99, 0));
        const waiting = SingleInstance.acquire(name, { timeout: 60_000 });
        guard.release();
        unlinkIfThere(path);
        using next = await waiting;
        assert.ok(next instanceof SingleInstance);
        assert.equal(SingleInstance.tryAcquire(name), undefined);
      },
    },
    {
      name: "a file that is no guard gives way to one, and is not `recovered`",
      needs: "system",
      async run() {
        using directory = testDirectory();
        const place = { directory: directory.path };
        using memory = SharedMemory.create("memory", 100_000, place);
        for (const contents of ["", "a", "hello, this is no guard", "x".repeat(100_000)]) {
          writeFileSync(`${directory.path}/i-a`, contents, { mode: 0o600 });
          assert.equal((await rejectionOf(SingleInstance.connect("a", place)) as QshmError).code, "NotRunning");
          using guard = SingleInstance.tryAcquire("a", place);
          assert.equal(guard?.recovered, false);
        }
        copyFileSync(memory.path, `${directory.path}/i-a`);
        using guard = SingleInstance.tryAcquire("a", place);
        assert.ok(guard !== undefined);
        assert.equal(SingleInstance.tryAcquire("a", place), undefined);
      },
    },
  ],
};

function unlinkIfThere(path: string): void {
  if (existsSync(path)) unlinkSync(path);
}
