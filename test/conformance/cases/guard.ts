/** The guard: who holds it, how it is given up, and that there is one a name. How it is waited for: guard_waits.ts. */

import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import {
  BusyError,
  inspect,
  list,
  NotRunningError,
  QshmError,
  remove,
  SharedMemory,
  SingleInstance,
} from "../../../mod.ts";
import { Attachment } from "../../../src/attachment.ts";
import { testDirectory } from "../../support/directory.ts";
import { freshKey, type Suite } from "../case.ts";
import { collectGarbage, errorOf, microtasks, refusalOf, rejectionOf, thrownBy, watch } from "../helpers.ts";
import { withRandom } from "../random.ts";
import { LONG, NEAR, ODD } from "./keys.ts";

/** Holds a guard that is free. */
function hold(name: string): SingleInstance {
  const guard = SingleInstance.tryAcquire(name);
  assert.ok(guard !== undefined, `${JSON.stringify(name.slice(0, 50))} is held`);
  return guard;
}

/** Does anybody hold it? Asked without trying to. */
function isHeld(name: string): boolean {
  return inspect("instance", name) !== undefined;
}

/** Every call that takes a name, as what it throws or is rejected with. */
function failures(name: unknown, options?: unknown): (() => unknown)[] {
  const [n, o] = [name as string, options as undefined];
  return [
    () => SingleInstance.acquire(n, o),
    () => SingleInstance.tryAcquire(n, o),
    () => SingleInstance.connect(n, o),
  ];
}

/** What a call throws, or is rejected with; a call that gives a promise must not throw. */
async function failureOf(f: () => unknown): Promise<Error> {
  const isSync = f.toString().includes("tryAcquire");
  return (isSync ? thrownBy(f) : await rejectionOf(f() as Promise<unknown>)) as Error;
}

export const guard: Suite = {
  name: "guard",
  cases: [
    {
      name: "acquire() and tryAcquire() hold a free guard, release() frees it",
      async run() {
        const name = freshKey();
        for (const take of [() => SingleInstance.acquire(name), () => SingleInstance.tryAcquire(name)!]) {
          assert.equal(isHeld(name), false);
          const guard = await take();
          assert.ok(guard instanceof SingleInstance);
          assert.equal(guard.recovered, false);
          assert.equal(isHeld(name), true);
          assert.equal(guard.release(), undefined);
          assert.equal(isHeld(name), false);
        }
      },
    },
    {
      name: "acquire() holds a free guard before it returns",
      async run() {
        const name = freshKey();
        const promise = SingleInstance.acquire(name);
        assert.equal(SingleInstance.tryAcquire(name), undefined);
        (await promise).release();
      },
    },
    {
      name: "the second one is refused, in the same process too, as often as it tries; the first goes on",
      async run() {
        const name = freshKey();
        using _guard = hold(name);
        for (let i = 0; i < 20; i++) {
          assert.equal(SingleInstance.tryAcquire(name), undefined);
          const error = await refusalOf(SingleInstance.acquire(name));
          assert.equal(error.pid, process.pid);
          assert.equal(inspect("instance", name)?.attached.length, 1, "who was refused leaves nothing behind");
        }
      },
    },
    {
      name: "of many who ask in the same turn exactly one holds it",
      async run() {
        const name = freshKey();
        const fates = Array.from({ length: 50 }, () => watch(SingleInstance.acquire(name)));
        await microtasks();
        assert.deepEqual(fates.map(({ state }) => state), ["fulfilled", ...Array(49).fill("rejected")]);
        fates[0]!.value!.release();
      },
    },
    {
      name: "a guard is released at the end of `using` and `await using`, also when the block throws",
      async run() {
        const name = freshKey();
        {
          using _guard = await SingleInstance.acquire(name);
          assert.equal(isHeld(name), true);
        }
        assert.equal(isHeld(name), false);
        {
          await using _guard = await SingleInstance.acquire(name);
          assert.equal(isHeld(name), true);
        }
        assert.equal(isHeld(name), false);
        await assert.rejects(async () => {
          await using _guard = await SingleInstance.acquire(name);
          throw new SyntaxError("inside");
        }, SyntaxError);
        assert.throws(() => {
          using _guard = hold(name);
          throw new SyntaxError("inside");
        }, SyntaxError);
        assert.equal(isHeld(name), false);
      },
    },
    {
      name: "[Symbol.asyncDispose]() has released before its promise is settled",
      async run() {
        const name = freshKey();
        const guard = hold(name);
        const disposed = guard[Symbol.asyncDispose]();
        assert.equal(isHeld(name), false);
        assert.equal(await disposed, undefined);
      },
    },
    {
      name: "release() again is nothing: it frees nobody else's guard",
      async run() {
        const name = freshKey();
        const first = hold(name);
        first.release();
        first.release();
        using _second = hold(name);
        first.release();
        first[Symbol.dispose]();
        await first[Symbol.asyncDispose]();
        assert.equal(SingleInstance.tryAcquire(name), undefined);
      },
    },
    {
      name: "a guard can be had again after its release, any number of times, and is never `recovered`",
      async run() {
        const name = freshKey();
        for (let i = 0; i < 200; i++) {
          using guard = i % 2 === 0 ? hold(name) : await SingleInstance.acquire(name);
          assert.equal(guard.recovered, false);
        }
        assert.equal(isHeld(name), false);
      },
    },
    {
      name: "a guard that was released keeps `recovered`, and whatever is done to it is harmless",
      async run() {
        const name = freshKey();
        const guard = hold(name);
        const { lost } = guard;
        guard.release();
        assert.equal(guard.recovered, false);
        assert.equal(guard.lost, lost);
        const untouched = hold(name);
        untouched.release();
        assert.equal(untouched.lost.aborted, false);
        for (const one of [guard, untouched]) {
          one.release();
          one[Symbol.dispose]();
          await one[Symbol.asyncDispose]();
          assert.equal(one.lost.aborted, false);
        }
        assert.equal(isHeld(name), false);
      },
    },
    {
      name: "guards of two names know nothing of each other",
      run() {
        const [one, two] = [freshKey(), freshKey()];
        const first = hold(one);
        using _second = hold(two);
        first.release();
        assert.equal(SingleInstance.tryAcquire(two), undefined);
        hold(one).release();
      },
    },
    {
      name: "one process holds many guards, and releases them in any order",
      run() {
        const names = Array.from({ length: 100 }, () => freshKey());
        const guards = names.map(hold);
        for (let i = 0; i < 100; i++) {
          const at = (i * 37) % 100;
          assert.equal(SingleInstance.tryAcquire(names[at]!), undefined);
          guards[at]!.release();
          if (i % 10 !== 0) continue;
          hold(names[at]!).release();
          assert.equal(list().length, 99 - i);
        }
      },
    },
    {
      name: "any order of calls on a few names ends well",
      run() {
        withRandom((random) => {
          const held = new Map<string, SingleInstance>();
          const names = ["a", "b", "c", "d"].map((name) => freshKey(name));
          const released: SingleInstance[] = [];
          for (let step = 0; step < 400; step++) {
            const name = random.of(names);
            const guard = held.get(name);
            switch (random.below(4)) {
              case 0:
                guard?.release();
                if (guard !== undefined) released.push(guard);
                held.delete(name);
                break;
              case 1:
                if (released.length > 0) random.of(released).release();
                break;
              case 2:
                assert.equal(isHeld(name), guard !== undefined);
                break;
              default: {
                const next = SingleInstance.tryAcquire(name, { data: step });
                assert.equal(next === undefined, guard !== undefined);
                assert.equal(next?.recovered ?? false, false);
                if (next !== undefined) held.set(name, next);
              }
            }
          }
          for (const guard of held.values()) guard.release();
          assert.deepEqual(list(), []);
        });
      },
    },
    {
      name: "a guard and things of other kinds with the same key do not meet",
      async run() {
        const key = freshKey();
        using memory = SharedMemory.create(key, 10);
        using _guard = await SingleInstance.acquire(key);
        const others = (["value", "semaphore"] as const).map((kind) =>
          new Attachment({ kind, operation: "create", key, size: 1, directory: undefined })
        );
        assert.deepEqual(list().map((info) => [info.kind, info.key]), [
          ["instance", key],
          ["memory", key],
          ["semaphore", key],
          ["value", key],
        ]);
        assert.equal(new Set(list().map(({ path }) => path)).size, 4);
        assert.equal(memory.tryLock()?.ownerDied, false);
        for (const other of others) other.detach();
        assert.equal(SingleInstance.tryAcquire(key), undefined);
        memory.detach();
        assert.equal(SingleInstance.tryAcquire(key), undefined);
      },
    },
    {
      name: "a name may be of any length and script, and look like a path",
      async run() {
        for (const name of [...ODD, ...LONG]) {
          using _guard = await SingleInstance.acquire(name, { data: name.length });
          assert.equal(SingleInstance.tryAcquire(name), undefined);
          const error = await refusalOf(SingleInstance.acquire(name));
          assert.ok(error.key === name);
          using running = await SingleInstance.connect(name);
          assert.equal(running.info.data, name.length);
          const [found] = list();
          assert.match(found!.path, /\/i-[A-Za-z0-9._%~-]{1,180}$/);
          if (new TextEncoder().encode(name).length <= 2048) assert.ok(found?.key === name);
        }
        assert.deepEqual(list(), []);
      },
    },
    {
      name: "names that differ never meet: in case, form, escapes, or only behind their 200th character",
      run() {
        for (const group of NEAR) {
          const guards = group.map(hold);
          assert.equal(list().length, group.length);
          for (const guard of guards) guard.release();
        }
      },
    },
    {
      name: "an empty name, NUL, lone surrogates and what is no string: TypeError, as a rejection from what is async",
      async run() {
        const bad: [unknown, RegExp][] = [
          ["", /^Key must not be empty$/],
          ["\0", /^Key must not contain NUL$/],
          ["a\0b", /^Key must not contain NUL$/],
          ["\ud800", /lone surrogate/],
          ["a\udc00", /lone surrogate/],
          [undefined, /^Key must be a string: got undefined$/],
          [null, /^Key must be a string: got null$/],
          [1, /^Key must be a string: got number$/],
          [1n, /got bigint$/],
          [Symbol("a"), /got symbol$/],
          [["a"], /got an array$/],
          [{ toString: () => "a" }, /got object$/],
          [Object("a"), /got object$/],
        ];
        for (const [name, message] of bad) {
          for (const f of failures(name)) {
            const error = await failureOf(f);
            assert.ok(error instanceof TypeError, `${String(name)}: ${error}`);
            assert.match(error.message, message);
          }
        }
        for (const f of failures("k".repeat((1 << 20) + 1))) assert.ok(await failureOf(f) instanceof RangeError);
        assert.deepEqual(list(), []);
      },
    },
    {
      name: "options that are no object: TypeError, as a rejection from what is async",
      async run() {
        for (const options of [null, 1, "x", true, 1n, Symbol("x"), () => 1, []]) {
          for (const f of failures(freshKey(), options)) {
            const error = await failureOf(f);
            assert.ok(error instanceof TypeError, `${error}`);
            assert.match(error.message, /^Options must be an object: got /);
          }
        }
        assert.deepEqual(list(), []);
      },
    },
    {
      name: "an unknown option: TypeError that names it and those that are known",
      async run() {
        const guard = '"directory", "data", "args", "mode", "maxMessageSize"';
        const wait = '"timeout", "signal", "ref"';
        const known = [`${guard}, ${wait}, "replace"`, guard, `"directory", ${wait}`];
        for (const name of ["Timeout", "persistent", "force", "size", "kill", "cwd", ""]) {
          for (const [i, f] of failures(freshKey(), { [name]: undefined }).entries()) {
            const error = await failureOf(f);
            assert.ok(error instanceof TypeError, `${error}`);
            assert.equal(error.message, `Unknown option "${name}": known are ${known[i]}`);
          }
        }
        for (const name of ["timeout", "signal", "ref", "replace"]) {
          assert.throws(() => SingleInstance.tryAcquire(freshKey(), { [name]: undefined } as never), TypeError, name);
        }
        for (const name of ["data", "args", "mode", "maxMessageSize", "replace"]) {
          const error = await rejectionOf(SingleInstance.connect(freshKey(), { [name]: undefined } as never));
          assert.ok(error instanceof TypeError, name);
        }
        assert.deepEqual(list(), []);
      },
    },
    {
      name: "options of the wrong kind or out of range: TypeError or RangeError, and nothing is held",
      async run() {
        const wait: [object, typeof TypeError | typeof RangeError, RegExp][] = [
          [{ timeout: -1 }, RangeError, /^Timeout must be at least 0 ms: got -1$/],
          [{ timeout: NaN }, RangeError, /^Timeout must/],
          [{ timeout: -Infinity }, RangeError, /^Timeout must/],
          [{ timeout: "1" }, TypeError, /^Timeout must be a number: got string$/],
          [{ timeout: 1n }, TypeError, /^Timeout must/],
          [{ timeout: null }, TypeError, /^Timeout must/],
          [{ timeout: new Date() }, TypeError, /^Timeout must/],
          [{ signal: {} }, TypeError, /^Signal must be an AbortSignal$/],
          [{ signal: null }, TypeError, /^Signal must/],
          [{ signal: new AbortController() }, TypeError, /^Signal must/],
          [{ ref: 1 }, TypeError, /^Ref must be a boolean: got number$/],
          [{ ref: null }, TypeError, /^Ref must/],
        ];
        const guard: typeof wait = [
          [{ args: "a" }, TypeError, /^Args must be an array: got string$/],
          [{ args: null }, TypeError, /^Args must be an array: got null$/],
          [{ args: { length: 0 } }, TypeError, /^Args must be an array: got object$/],
          [{ args: new Set(["a"]) }, TypeError, /^Args must/],
          [{ args: ["a", 1] }, TypeError, /^Args\[1\] must be a string: got number$/],
          [{ args: [null] }, TypeError, /^Args\[0\] must be a string: got null$/],
          [{ args: ["a", ["b"]] }, TypeError, /^Args\[1\] must be a string: got an array$/],
          [{ args: [undefined] }, TypeError, /^Args\[0\] must be a string: got undefined$/],
          [{ args: [Object("a")] }, TypeError, /^Args\[0\] must be a string: got object$/],
          [{ data: () => 1 }, TypeError, /^Data must be JSON or a Uint8Array: got function$/],
          [{ mode: 0o666 }, RangeError, /^Mode must let the owner/],
          [{ mode: 0 }, RangeError, /^Mode must/],
          [{ mode: 0o060 }, RangeError, /^Mode must/],
          [{ mode: 0.5 }, RangeError, /^Mode must be a whole number/],
          [{ mode: 2 ** 32 + 0o600 }, RangeError, /^Mode must/],
          [{ mode: "600" }, TypeError, /^Mode must be a number: got string$/],
          [{ mode: null }, TypeError, /^Mode must be a number: got null$/],
          [{ maxMessageSize: -1 }, RangeError, /^MaxMessageSize must be a whole number from 0 to 1073741824: got -1$/],
          [{ maxMessageSize: 2 ** 30 + 1 }, RangeError, /^MaxMessageSize must/],
          [{ maxMessageSize: 0.5 }, RangeError, /^MaxMessageSize must/],
          [{ maxMessageSize: Infinity }, RangeError, /^MaxMessageSize must/],
          [{ maxMessageSize: "1" }, TypeError, /^MaxMessageSize must be a number: got string$/],
          [{ maxMessageSize: null }, TypeError, /^MaxMessageSize must be a number: got null$/],
        ];
        const place: typeof wait = [
          [{ directory: 1 }, TypeError, /^Directory must be a string: got number$/],
          [{ directory: null }, TypeError, /^Directory must/],
          [{ directory: "" }, TypeError, /^Directory must not be empty/],
          [{ directory: "/tmp\0" }, TypeError, /^Directory must/],
          [{ directory: "/tmp/\ud800" }, TypeError, /lone surrogate/],
        ];
        for (
          const [at, tables] of [[0, [...wait, ...guard, ...place]], [1, [...guard, ...place]], [2, [
            ...wait,
            ...place,
          ]]] as const
        ) {
          for (const [options, Class, message] of tables) {
            const error = await failureOf(failures(freshKey(), options)[at]!);
            assert.ok(error instanceof Class, `${message}: ${error}`);
            assert.match(error.message, message);
          }
        }
        assert.deepEqual(list(), []);
      },
    },
    {
      name: "args with a hole are refused like any other that are no strings",
      run() {
        // deno-lint-ignore no-sparse-arrays
        for (const args of [["a", , "b"], new Array(3), [,]]) {
          const error = thrownBy(() => SingleInstance.tryAcquire(freshKey(), { args: args as string[] })!.release());
          assert.ok(error instanceof TypeError, `${error}`);
          assert.match(error.message, /^Args\[\d\] must be a string: got undefined$/);
        }
      },
    },
    {
      name: "options that are undefined, or left out, are defaults",
      async run() {
        const nothing = { directory: undefined, data: undefined, args: undefined, mode: undefined };
        const waits = { timeout: undefined, signal: undefined, ref: undefined };
        for (const options of [undefined, {}, { ...nothing, ...waits }, Object.create(null)]) {
          using _guard = await SingleInstance.acquire(freshKey(), options as never);
        }
        for (const options of [undefined, {}, nothing, Object.create(null)]) {
          SingleInstance.tryAcquire(freshKey(), options as never)!.release();
        }
        const name = freshKey();
        using _guard = hold(name);
        for (const options of [undefined, {}, { directory: undefined, ...waits }]) {
          (await SingleInstance.connect(name, options as never)).close();
        }
        await refusalOf(SingleInstance.acquire(name, waits as never));
      },
    },
    {
      name: "mode is the guard's file's; the default is 0600",
      needs: "system",
      run() {
        for (const [mode, expected] of [[undefined, 0o600], [0o600, 0o600], [0o660, 0o660], [0o640, 0o640]] as const) {
          const name = freshKey();
          using _guard = SingleInstance.tryAcquire(name, mode === undefined ? {} : { mode });
          assert.equal(statSync(inspect("instance", name)!.path).mode & 0o7777, expected);
        }
      },
    },
    {
      name: "directory: guards of the same name in different ones do not meet",
      needs: "system",
      async run() {
        using one = testDirectory();
        using two = testDirectory();
        const first = await SingleInstance.acquire("a", { directory: one.path });
        using _second = await SingleInstance.acquire("a", { directory: two.path, data: 2 });
        using _third = await SingleInstance.acquire("a");
        assert.deepEqual([one.entries(), two.entries()], [["i-a"], ["i-a"]]);
        assert.equal(SingleInstance.tryAcquire("a", { directory: one.path }), undefined);
        using running = await SingleInstance.connect("a", { directory: two.path });
        assert.equal(running.info.data, 2);
        first.release();
        const error = await rejectionOf(SingleInstance.connect("a", { directory: one.path }));
        assert.ok(error instanceof NotRunningError);
        SingleInstance.tryAcquire("a", { directory: one.path })!.release();
        assert.deepEqual(one.entries(), []);
      },
    },
    {
      name: "connect() gives who holds it; close(), also twice, and the end of `using` change nothing for the holder",
      async run() {
        const name = freshKey();
        const guard = hold(name);
        const running = await SingleInstance.connect(name);
        assert.equal(running.info.pid, process.pid);
        assert.equal(inspect("instance", name)?.attached.length, 1);
        running.close();
        running.close();
        running[Symbol.dispose]();
        {
          using again = await SingleInstance.connect(name);
          assert.deepEqual(again.info, running.info);
        }
        assert.equal(SingleInstance.tryAcquire(name), undefined);
        guard.release();
        assert.equal(running.info.pid, process.pid, "as it was when the connection was made");
      },
    },
    {
      name: "connect() where nobody holds it is rejected with NotRunningError, in full, and leaves nothing",
      async run() {
        const name = freshKey('odd": it runs\n');
        const released = hold(name);
        released.release();
        const error = await rejectionOf(SingleInstance.connect(name));
        assert.ok(error instanceof NotRunningError && error instanceof QshmError);
        assert.deepEqual(
          [error.name, error.code, error.operation, error.key, error.syscall, error.errno],
          ["NotRunningError", "NotRunning", "connect to", name, undefined, undefined],
        );
        assert.equal(error.message, `Cannot connect to instance ${JSON.stringify(name)}: nobody holds it`);
        assert.deepEqual(list(), []);
      },
    },
    {
      name: "list() and inspect() tell a guard that is held, and by whom",
      run() {
        const name = freshKey();
        const guard = hold(name);
        const info = inspect("instance", name)!;
        assert.deepEqual(
          [info.kind, info.key, info.size, info.persistent, info.state, info.lockOwner],
          ["instance", name, 0, false, "live", undefined],
        );
        assert.ok(info.path.endsWith(`/i-${name}`));
        assert.deepEqual(info.attached.map(({ pid, alive }) => [pid, alive]), [[process.pid, true]]);
        assert.deepEqual(list(), [info]);
        guard.release();
        assert.deepEqual([inspect("instance", name), list()], [undefined, []]);
      },
    },
    {
      name: "remove() refuses a guard that is held, with force too: BusyError names the holder",
      run() {
        const name = freshKey();
        using _guard = hold(name);
        for (const options of [undefined, { force: false }, { force: true }]) {
          const error = errorOf(() => remove("instance", name, options));
          assert.ok(error instanceof BusyError, `${error}`);
          assert.deepEqual([error.code, error.operation, error.key, error.pid], ["Busy", "remove", name, process.pid]);
          assert.match(error.message, /is a guard that is held/);
        }
        assert.equal(SingleInstance.tryAcquire(name), undefined);
        assert.equal(isHeld(name), true);
      },
    },
    {
      name: "a guard whose object was collected is still held: no finalizer releases",
      async run() {
        const name = freshKey();
        hold(name);
        for (let i = 0; i < 5; i++) {
          collectGarbage();
          await setImmediate();
        }
        assert.equal(SingleInstance.tryAcquire(name), undefined);
      },
    },
    {
      name: "the constructor is not for users",
      run() {
        assert.throws(() => (SingleInstance as unknown as () => void)(), TypeError);
        assert.throws(() => new (SingleInstance as unknown as new () => void)(), TypeError);
      },
    },
  ],
};
