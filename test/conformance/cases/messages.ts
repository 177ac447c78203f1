/** Messages to the holder of a guard: what arrives, what comes back, and what their senders are told otherwise. */

import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, realpathSync, unlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { setImmediate, setTimeout } from "node:timers/promises";
import {
  type GuardOptions,
  inspect,
  type InstanceReply,
  type InstanceRequest,
  type Json,
  list,
  MessageTooLargeError,
  NotRunningError,
  type Payload,
  type RequestHandler,
  RequestFailedError,
  type RunningInstance,
  SingleInstance,
} from "../../../mod.ts";
import { footprint } from "../../support/kernel.ts";
import { freshKey, type Suite } from "../case.ts";
import {
  assertDomException,
  countListeners,
  countTimers,
  microtasks,
  rejectionOf,
  sameBytes,
  thrownBy,
  until,
  watch,
} from "../helpers.ts";
import { directory, killPeer, startPeer } from "../peers.ts";
import { randomBytes, withRandomAsync } from "../random.ts";

/** Ends what would otherwise be a hang; no case gets near it. */
const WATCHDOG = { timeout: 60_000 };
/** ms: a timeout within which a handler surely begins. */
const LONGEST = 1 << 14;
/** How many messages there is room for, and how many handlers run at once. */
const PLACES = 64;
const HANDLERS = 16;

function hold(name: string, options?: GuardOptions): SingleInstance {
  const guard = SingleInstance.tryAcquire(name, options);
  assert.ok(guard !== undefined);
  return guard;
}

interface Pair extends Disposable {
  readonly name: string;
  readonly guard: SingleInstance;
  readonly running: RunningInstance;
}

/** A guard, served if there is a handler, and a connection to it. */
async function connected(handler?: RequestHandler, options?: GuardOptions): Promise<Pair> {
  const name = freshKey();
  const guard = hold(name, options);
  if (handler !== undefined) guard.serve(handler);
  const running = await SingleInstance.connect(name);
  return {
    name,
    guard,
    running,
    [Symbol.dispose]() {
      running.close();
      guard.release();
    },
  };
}

/** A handler that keeps every request until the test answers it. */
class Desk {
  readonly requests: InstanceRequest[] = [];
  readonly #answers: PromiseWithResolvers<InstanceReply | void>[] = [];

  readonly handler: RequestHandler = (request) => {
    const answer = Promise.withResolvers<InstanceReply | void>();
    this.requests.push(request);
    this.#answers.push(answer);
    return answer.promise;
  };

  /** What was sent in the requests that came, in their order. */
  get data(): unknown[] {
    return this.requests.map(({ data }) => data);
  }

  /** Waits for so many requests. */
  async came(count: number): Promise<void> {
    await until(() => this.requests.length >= count, `${count} requests`);
  }

  /** Answers a request; all by default. */
  answer(at?: number, reply?: InstanceReply): void {
    if (at !== undefined) return this.#answers[at]!.resolve(reply);
    for (const { resolve } of this.#answers) resolve();
  }
}

async function failureOf(promise: Promise<unknown>): Promise<RequestFailedError> {
  const error = await rejectionOf(promise);
  if (!(error instanceof RequestFailedError)) throw error;
  return error;
}

async function notRunningOf(promise: Promise<unknown>): Promise<NotRunningError> {
  const error = await rejectionOf(promise);
  if (!(error instanceof NotRunningError)) throw error;
  return error;
}

/** What became of a message whose time was up. */
async function timeoutOf(promise: Promise<unknown>): Promise<"no" | "unknown"> {
  const error = await rejectionOf(promise);
  assertDomException(error, "TimeoutError", /^Timed out after [\d.]+ ms waiting for the reply of instance "/);
  const { delivered, message } = error as DOMException & { delivered: "no" | "unknown" };
  const what = delivered === "no" ? "not accepted" : "accepted, and not answered";
  assert.ok(message.endsWith(`: the message was ${what} by process ${process.pid}`), message);
  return delivered;
}

/** What cannot be sent, how its place in the value is written, and what it is. */
const cycle: Record<string, unknown> = {};
cycle["self"] = { list: [cycle] };
const NO_PAYLOADS: readonly (readonly [unknown, string])[] = [
  [undefined, "Data must be JSON or a Uint8Array: got undefined"],
  [() => 1, "Data must be JSON or a Uint8Array: got function"],
  [1n, "Data must be JSON or a Uint8Array: got bigint"],
  [Symbol("x"), "Data must be JSON or a Uint8Array: got symbol"],
  [NaN, "Data must be JSON or a Uint8Array: got NaN"],
  [-Infinity, "Data must be JSON or a Uint8Array: got -Infinity"],
  [{ a: [1, { f: () => 1 }] }, "Data.a[1].f must be JSON or a Uint8Array: got function"],
  [[[], [0, 5n]], "Data[1][1] must be JSON or a Uint8Array: got bigint"],
  [{ "not a name": { n: NaN } }, 'Data["not a name"].n must be JSON or a Uint8Array: got NaN'],
  [{ a: undefined }, "Data.a must be JSON or a Uint8Array: got undefined"],
  [new Array(1), "Data[0] must be JSON or a Uint8Array: got undefined"],
  [cycle, "Data.self.list[0] must be JSON or a Uint8Array: it contains itself"],
  [new Date(), "Data must be JSON or a Uint8Array: got an object of class Date"],
  [{ m: new Map() }, "Data.m must be JSON or a Uint8Array: got an object of class Map"],
  [{ b: [new Uint8Array(1)] }, "Data.b[0] must be JSON or a Uint8Array: got an object of class Uint8Array"],
  [new Uint16Array(1), "Data must be JSON or a Uint8Array: got an object of class Uint16Array"],
  [new ArrayBuffer(1), "Data must be JSON or a Uint8Array: got an object of class ArrayBuffer"],
];

const VALUES: readonly Payload[] = [
  null,
  true,
  false,
  0,
  -1.5,
  5e-324,
  Number.MAX_VALUE,
  "",
  'ä🦕\n\0|"\\',
  "\ud800",
  "\ufeff",
  [],
  [[], [null, ["|"]]],
  {},
  { "": { a: [1, "2", { b: null }] }, "a b": "\r\n" },
  JSON.parse('{"__proto__":{"a":1}}'),
];

const SIZES = [0, 1, 64 << 10, 1 << 20, 16 << 20];

/** Arguments as they come, and as they do not. */
const ARGS: readonly (readonly string[])[] = [
  [],
  [""],
  ["", "", ""],
  ["a b", "\n", "|", "a|b", "--", "-x=1", '"', "'", "\\", "\0", "ä🦕", "\ud800", "\udc00\ud800", "\ufeff"],
  Array.from({ length: 10_000 }, (_, i) => `${i}`),
  ["x".repeat(1 << 20)],
];

/** What a handler does that is no reply, and what the sender is told. */
const BAD_REPLIES: readonly (readonly [unknown, string, RegExp])[] = [
  [{ exitCode: 256 }, "RangeError", /^ExitCode must be a whole number from 0 to 255: got 256$/],
  [{ exitCode: -1 }, "RangeError", /^ExitCode must be a whole number from 0 to 255: got -1$/],
  [{ exitCode: 1.5 }, "RangeError", /^ExitCode must/],
  [{ exitCode: "0" }, "TypeError", /^ExitCode must be a number: got string$/],
  [{ exitCode: null }, "TypeError", /^ExitCode must be a number: got null$/],
  [{ stdout: 1 }, "TypeError", /^Stdout must be a string: got number$/],
  [{ stdout: null }, "TypeError", /^Stdout must be a string: got null$/],
  [{ stderr: ["a"] }, "TypeError", /^Stderr must be a string: got an array$/],
  [{ data: { x: [NaN] } }, "TypeError", /^Data\.x\[0\] must be JSON or a Uint8Array: got NaN$/],
  [{ code: 1 }, "TypeError", /^Unknown option "code": known are "exitCode", "stdout", "stderr", "data"$/],
  ["text", "TypeError", /^Options must be an object: got string$/],
  [0, "TypeError", /^Options must be an object: got number$/],
  [[], "TypeError", /^Options must be an object: got an array$/],
];

class OwnError extends Error {
  override readonly name = "OwnError";
}

/** What a handler throws, and what the sender is told. */
const THROWN: readonly (readonly [unknown, string, string])[] = [
  [new Error("no such file"), "Error", "no such file"],
  [new RangeError(""), "RangeError", ""],
  [new OwnError("ä\n|\ud800"), "OwnError", "ä\n|\ud800"],
  [new DOMException("enough", "AbortError"), "AbortError", "enough"],
  ["a text", "Error", "a text"],
  [undefined, "Error", "undefined"],
  [null, "Error", "null"],
  [42, "Error", "42"],
  [Symbol("x"), "Error", "Symbol(x)"],
  [{ toString: () => "mine" }, "Error", "mine"],
  [Object.create(null), "Error", "what was thrown cannot be turned into text"],
];

export const messages: Suite = {
  name: "messages",
  cases: [
    {
      name: "send() hands the data to the handler, and the reply to the sender",
      async run() {
        const requests: InstanceRequest[] = [];
        using pair = await connected((request) => {
          requests.push(request);
          return { exitCode: 255, stdout: "out|\n", stderr: "", data: [request.data as Json] };
        });
        for (const value of VALUES) {
          const reply = await pair.running.send(value, WATCHDOG);
          assert.deepEqual(reply, { exitCode: 255, stdout: "out|\n", stderr: "", data: [value] });
        }
        assert.deepEqual(requests.map(({ data }) => data), VALUES);
        for (const { kind, args, cwd, env, from, signal } of requests) {
          assert.deepEqual([kind, args, cwd, Object.keys(env)], ["message", [], "", []]);
          assert.deepEqual([from.pid, from.alive, signal.aborted], [process.pid, true, false]);
        }
      },
    },
    {
      name: "a reply has what the handler gave, and nothing else",
      async run() {
        const replies: readonly InstanceReply[] = [
          {},
          { exitCode: 0 },
          { stdout: "" },
          { stderr: "\ufeff" },
          { data: null },
          { data: new Uint8Array(0) },
          { exitCode: 1, data: {} },
        ];
        using pair = await connected(({ data }) => replies[data as number]);
        for (const [i, reply] of replies.entries()) {
          assert.deepEqual(await pair.running.send(i, WATCHDOG), reply);
        }
        assert.deepEqual(await pair.running.send(replies.length, WATCHDOG), {}, "undefined");
      },
    },
    {
      name: "bytes arrive as they are, there and back: 0 B, 1 B, 64 KiB, 1 MiB, 16 MiB",
      run() {
        return withRandomAsync(async (random) => {
          using pair = await connected(({ data }) => ({ data: data! }));
          for (const size of SIZES) {
            const some = randomBytes(random, Math.min(size, 4099));
            const bytes = new Uint8Array(size);
            for (let at = 0; at < size; at += some.length) bytes.set(some.subarray(0, size - at), at);
            const { data } = await pair.running.send(bytes, WATCHDOG);
            assert.ok(data instanceof Uint8Array && sameBytes(data, bytes), `${size} B`);
          }
        });
      },
    },
    {
      name: "text arrives as it is, there and back: 0 B, 1 B, 64 KiB, 1 MiB, 16 MiB",
      async run() {
        using pair = await connected(({ data }) => ({ data: data! }), { maxMessageSize: 17 << 20 });
        for (const size of SIZES) {
          const text = "0123456789 abcdefghijklmnopqrstuvwxyz|".repeat(Math.ceil(size / 38)).slice(0, size);
          const { data } = await pair.running.send([text], WATCHDOG);
          assert.ok((data as string[])[0] === text, `${size} B`);
        }
      },
    },
    {
      name: "bytes are taken when send() is called: what becomes of them later does not matter",
      async run() {
        using pair = await connected(({ data }) => ({ data: data! }));
        const bytes = Uint8Array.of(1, 2, 3, 4);
        const sending = pair.running.send(bytes.subarray(1, 3), WATCHDOG);
        bytes.fill(9);
        assert.deepEqual(await sending, { data: Uint8Array.of(2, 3) });
      },
    },
    {
      name: "beyond maxMessageSize: MessageTooLargeError, and the handler sees nothing",
      async run() {
        const sizes: number[] = [];
        const handler: RequestHandler = ({ data }) => void sizes.push((data as Uint8Array).length);
        using pair = await connected(handler, { maxMessageSize: 1000 });
        const { name, running } = pair;
        const error = await rejectionOf(running.send(new Uint8Array(2000), WATCHDOG)) as MessageTooLargeError;
        assert.ok(error instanceof MessageTooLargeError, `${error}`);
        assert.deepEqual([error.code, error.operation, error.key], ["MessageTooLarge", "send to", name]);
        assert.match(error.message, /: the message takes 2000 bytes, it takes at most 1000 /);
        await running.send(new Uint8Array(1000), WATCHDOG);
        assert.ok(await rejectionOf(running.send(new Uint8Array(1001), WATCHDOG)) instanceof MessageTooLargeError);
        const args = Array<string>(1000).fill("");
        assert.ok(await rejectionOf(running.forward({ args, cwd: "", ...WATCHDOG })) instanceof MessageTooLargeError);
        assert.deepEqual(sizes, [1000]);

        using none = await connected(handler, { maxMessageSize: 0 });
        assert.ok(await rejectionOf(none.running.send(null, WATCHDOG)) instanceof MessageTooLargeError);
      },
    },
    {
      name: "a message that is too large leaves nothing in the directory",
      needs: "system",
      async run() {
        using pair = await connected(undefined, { maxMessageSize: 1000 });
        const waiting = watch(pair.running.send(1, WATCHDOG));
        await setImmediate();
        const before = readdirSync(directory());
        assert.ok(before.some((file) => file.startsWith("r.")), "a message that fits has a file");
        for (let i = 0; i < 10; i++) {
          const sending = watch(pair.running.send(new Uint8Array(1001), WATCHDOG));
          assert.deepEqual(readdirSync(directory()), before);
          await microtasks();
          assert.ok(sending.reason instanceof MessageTooLargeError, `${sending.reason}`);
        }
        assert.equal(waiting.state, "pending");
      },
    },
    {
      name: "a reply beyond maxMessageSize: RequestFailedError that says so; the guard goes on",
      async run() {
        const handler: RequestHandler = ({ data }) => {
          if (data === "throw") throw new Error("x".repeat(2000));
          return { data: new Uint8Array(data as number) };
        };
        using pair = await connected(handler, { maxMessageSize: 1000 });
        const { message, handlerName, handlerMessage } = await failureOf(pair.running.send(2000, WATCHDOG));
        assert.equal(handlerName, "MessageTooLargeError");
        assert.ok(message.includes(`: MessageTooLargeError: ${handlerMessage}`), message);
        const [, size] = /: the reply takes (\d+) bytes, at most 1000 fit; /.exec(handlerMessage)!;
        const most = 1000 - (Number(size) - 2000);
        assert.deepEqual(await pair.running.send(most, WATCHDOG), { data: new Uint8Array(most) });
        assert.equal((await failureOf(pair.running.send(most + 1, WATCHDOG))).handlerName, "MessageTooLargeError");
        assert.equal((await failureOf(pair.running.send("throw", WATCHDOG))).handlerName, "MessageTooLargeError");
      },
    },
    {
      name: "data that is neither JSON nor bytes: TypeError that names the place, and nothing is sent",
      async run() {
        const desk = new Desk();
        using pair = await connected(desk.handler);
        for (const [value, message] of NO_PAYLOADS) {
          const sending = watch(pair.running.send(value as Payload, WATCHDOG));
          await microtasks();
          assert.ok(sending.reason instanceof TypeError, `${message}: ${sending.reason}`);
          assert.equal(sending.reason.message, message);
        }
        const last = watch(pair.running.send("last", WATCHDOG));
        await desk.came(1);
        assert.deepEqual(desk.data, ["last"]);
        desk.answer();
        await until(() => last.state === "fulfilled", "the reply");
      },
    },
    {
      name: "forward() hands over arguments, a directory and no data, whatever they are",
      async run() {
        using pair = await connected(({ kind, args, cwd, env, data }) => ({
          data: [kind, args, cwd, Object.keys(env), data === undefined],
        }));
        for (const args of ARGS) {
          for (const cwd of ["", "/a b", "relative|\n", "\ud800"]) {
            const { data } = await pair.running.forward({ args, cwd, ...WATCHDOG });
            assert.deepEqual(data, ["arguments", args, cwd, [], true]);
          }
        }
      },
    },
    {
      name: "forward() takes this program's own arguments unless told otherwise, as the guard's info does",
      async run() {
        using pair = await connected(({ args }) => ({ data: args }));
        for (const options of [undefined, {}, { args: undefined }]) {
          const { data } = await pair.running.forward(options as never);
          assert.deepEqual(data, pair.running.info.args);
          assert.deepEqual(data, process.argv.slice(2));
        }
      },
    },
    {
      name: "forward() takes this process's working directory unless told otherwise",
      needs: "system",
      async run() {
        using pair = await connected(({ cwd }) => ({ data: cwd }));
        for (const cwd of [undefined, "/elsewhere"]) {
          const { data } = await pair.running.forward({ ...(cwd !== undefined && { cwd }), ...WATCHDOG });
          assert.equal(data, cwd ?? process.cwd());
        }
      },
    },
    {
      name: "forward() from a working directory that was deleted gives an empty one; the sender can still send",
      needs: "system",
      async run() {
        using pair = await connected(({ cwd }) => ({ data: cwd }));
        await using peer = await startPeer();
        const path = mkdtempSync(`${realpathSync(tmpdir())}/qshm-messages-`);
        const cwds = await peer.run(async ({ SingleInstance }, _, [name, path]) => {
          const { rmdirSync } = await import("node:fs");
          using running = await SingleInstance.connect(name);
          process.chdir(path);
          const there = await running.forward();
          rmdirSync(path);
          return [there.data, (await running.forward()).data];
        }, [pair.name, path] as [string, string]);
        assert.deepEqual(cwds, [path, ""]);
      },
    },
    {
      name: "forward() sends the environment variables that are named, without those that are not set",
      needs: "system",
      async run() {
        using pair = await connected(({ env }) => ({ data: { ...env } }));
        const values = { QSHM_TEST_A: "a|\nb=c", QSHM_TEST_EMPTY: "", "QSHM TEST": "ä🦕" };
        try {
          Object.assign(process.env, values);
          const env = [...Object.keys(values), "QSHM_TEST_UNSET", "__proto__", "constructor", "toString"];
          assert.deepEqual((await pair.running.forward({ env, ...WATCHDOG })).data, values);
          assert.deepEqual((await pair.running.forward({ env: ["QSHM_TEST_A"], ...WATCHDOG })).data, {
            QSHM_TEST_A: values.QSHM_TEST_A,
          });
          assert.deepEqual((await pair.running.forward({ env: [], ...WATCHDOG })).data, {});
          assert.deepEqual((await pair.running.forward(WATCHDOG)).data, {});
        } finally {
          for (const name of Object.keys(values)) delete process.env[name];
        }
      },
    },
    {
      name: "forward() leaves out variables that are not set, or may not be read, without asking anybody",
      async run() {
        using pair = await connected(({ env }) => ({ data: Object.keys(env) }));
        const { data } = await pair.running.forward({ env: ["QSHM_TEST_UNSET", "QSHM_TEST_UNSET_TOO"], ...WATCHDOG });
        assert.deepEqual(data, []);
      },
    },
    {
      name: "what a handler is given cannot be changed for the next one to see",
      async run() {
        using pair = await connected(({ args, env }) => {
          assert.throws(() => (args as string[]).push("x"), TypeError);
          assert.throws(() => Object.assign(env, { x: "y" }), TypeError);
        });
        await pair.running.forward({ args: ["a"], ...WATCHDOG });
        await pair.running.send(1, WATCHDOG);
      },
    },
    {
      name: "options of send() and forward() that are wrong: TypeError or RangeError, and nothing is sent",
      async run() {
        const desk = new Desk();
        using pair = await connected(desk.handler);
        const { running } = pair;
        const wait = '"timeout", "signal", "ref"';
        const both: [unknown, typeof TypeError | typeof RangeError, string][] = [
          [null, TypeError, "Options must be an object: got null"],
          [5, TypeError, "Options must be an object: got number"],
          [{ timeout: -1 }, RangeError, "Timeout must be at least 0 ms: got -1"],
          [{ timeout: NaN }, RangeError, "Timeout must be at least 0 ms: got NaN"],
          [{ timeout: "1" }, TypeError, "Timeout must be a number: got string"],
          [{ signal: {} }, TypeError, "Signal must be an AbortSignal"],
          [{ signal: null }, TypeError, "Signal must be an AbortSignal"],
          [{ ref: 1 }, TypeError, "Ref must be a boolean: got number"],
        ];
        const sending: typeof both = [
          ...both,
          [{ args: [] }, TypeError, `Unknown option "args": known are ${wait}`],
        ];
        const forwarding: typeof both = [
          ...both,
          [{ Args: [] }, TypeError, `Unknown option "Args": known are "args", "cwd", "env", ${wait}`],
          [{ args: "a" }, TypeError, "Args must be an array: got string"],
          [{ args: ["a", 1] }, TypeError, "Args[1] must be a string: got number"],
          [{ args: new Array(1) }, TypeError, "Args[0] must be a string: got undefined"],
          [{ cwd: null }, TypeError, "Cwd must be a string: got null"],
          [{ cwd: 1 }, TypeError, "Cwd must be a string: got number"],
          [{ env: "PATH" }, TypeError, "Env must be an array of names: got string"],
          [{ env: null }, TypeError, "Env must be an array of names: got null"],
          [{ env: ["A", ""] }, TypeError, 'Env[1] must be the name of an environment variable: got ""'],
          [{ env: ["A=B"] }, TypeError, 'Env[0] must be the name of an environment variable: got "A=B"'],
          [{ env: ["A\0"] }, TypeError, 'Env[0] must be the name of an environment variable: got "A\\u0000"'],
          [{ env: [null] }, TypeError, "Env[0] must be the name of an environment variable: got null"],
          [{ env: ["A", 7] }, TypeError, "Env[1] must be the name of an environment variable: got number"],
          [{ env: [1n] }, TypeError, "Env[0] must be the name of an environment variable: got bigint"],
          [{ env: new Array(1) }, TypeError, "Env[0] must be the name of an environment variable: got undefined"],
        ];
        const calls = [
          ...sending.map((row) => [() => running.send(1, row[0] as never), ...row] as const),
          ...forwarding.map((row) => [() => running.forward(row[0] as never), ...row] as const),
        ];
        for (const [call, , Class, message] of calls) {
          const error = await rejectionOf(call());
          assert.ok(error instanceof Class, `${message}: ${error}`);
          assert.equal(error.message, message);
        }
        const last = pair.running.send("last", WATCHDOG);
        await desk.came(1);
        assert.deepEqual(desk.data, ["last"]);
        desk.answer();
        await last;
      },
    },
    {
      name: "what a handler throws, at once or later, the sender gets as RequestFailedError",
      async run() {
        const thrown = (i: unknown): unknown => THROWN[i as number]![0];
        const handlers: RequestHandler[] = [
          ({ data }) => {
            throw thrown(data);
          },
          async ({ data }) => {
            await setImmediate();
            throw thrown(data);
          },
          ({ data }) => Promise.reject(thrown(data)),
        ];
        for (const handler of handlers) {
          using pair = await connected(handler);
          const { name, running } = pair;
          for (const [i, [, handlerName, handlerMessage]] of THROWN.entries()) {
            const error = await failureOf(running.send(i, WATCHDOG));
            assert.deepEqual([error.handlerName, error.handlerMessage], [handlerName, handlerMessage]);
            assert.deepEqual([error.code, error.operation, error.key], ["RequestFailed", "send to", name]);
            const subject = `instance ${JSON.stringify(name)}`;
            const what = `${handlerName}: ${handlerMessage}`;
            assert.equal(error.message, `Cannot send to ${subject}: its handler failed: ${what}`);
          }
        }
      },
    },
    {
      name: "a reply that is none is a failure of the handler; the next request is answered",
      async run() {
        using pair = await connected(({ data }) => {
          return data === "good" ? { stdout: "good" } : BAD_REPLIES[data as number]![0] as InstanceReply;
        });
        for (const [i, [, handlerName, handlerMessage]] of BAD_REPLIES.entries()) {
          const error = await failureOf(pair.running.send(i, WATCHDOG));
          assert.equal(error.handlerName, handlerName);
          assert.match(error.handlerMessage, handlerMessage);
          assert.deepEqual(await pair.running.send("good", WATCHDOG), { stdout: "good" });
        }
      },
    },
    {
      name: "messages are taken in the order in which they were sent, over all connections",
      async run() {
        for (const isLate of [false, true]) {
          const seen: unknown[] = [];
          const handler: RequestHandler = ({ data }) => void seen.push(data);
          using pair = await connected(isLate ? undefined : handler);
          using other = await SingleInstance.connect(pair.name);
          const sent = Array.from({ length: 50 }, (_, i) => (i % 3 === 0 ? other : pair.running).send(i, WATCHDOG));
          if (isLate) pair.guard.serve(handler);
          await Promise.all(sent);
          assert.deepEqual(seen, sent.map((_, i) => i));
        }
      },
    },
    {
      name: "at most 16 handlers run; the 17th request waits until one ends, and replies go to their own senders",
      async run() {
        const desk = new Desk();
        using pair = await connected(desk.handler);
        const sent = Array.from({ length: HANDLERS + 4 }, (_, i) => watch(pair.running.send(i, WATCHDOG)));
        await desk.came(HANDLERS);
        for (let turn = 0; turn < 20; turn++) {
          await setTimeout(1);
          assert.equal(desk.requests.length, HANDLERS);
        }
        for (const [ended, at] of [5, 0, 16, 15].entries()) {
          desk.answer(at, { data: `reply to ${at}` });
          await until(() => sent[at]!.state === "fulfilled", "its reply");
          await desk.came(HANDLERS + 1 + ended);
        }
        for (const at of sent.keys()) desk.answer(at, { data: `reply to ${at}` });
        await until(() => sent.every(({ state }) => state === "fulfilled"), "all replies");
        assert.deepEqual(sent.map(({ value }) => value), sent.map((_, at) => ({ data: `reply to ${at}` })));
        assert.deepEqual(desk.data, sent.map((_, at) => at));
      },
    },
    {
      name: "a handler can itself send to its own guard",
      async run() {
        using pair = await connected(async ({ data }) => {
          if (data === 0) return { data: "bottom" };
          const { data: inner } = await pair.running.send((data as number) - 1, WATCHDOG);
          return { data: inner! };
        });
        assert.deepEqual(await pair.running.send(HANDLERS - 1, WATCHDOG), { data: "bottom" });
      },
    },
    {
      name: "serve() what is no function, with wrong options, twice, or after release(): TypeError",
      run() {
        const name = freshKey();
        const subject = `instance ${JSON.stringify(name)}`;
        const guard = hold(name);
        const handler: RequestHandler = () => {};
        const bad: [unknown, unknown, string][] = [
          [undefined, undefined, "Handler must be a function: got undefined"],
          [{ handler }, undefined, "Handler must be a function: got object"],
          [null, undefined, "Handler must be a function: got null"],
          [handler, null, "Options must be an object: got null"],
          [handler, { Ref: true }, 'Unknown option "Ref": known are "ref"'],
          [handler, { ref: 1 }, "Ref must be a boolean: got number"],
        ];
        for (const [f, options, message] of bad) {
          assert.throws(() => guard.serve(f as never, options as never), new TypeError(message));
        }
        assert.equal(guard.serve(handler), undefined);
        for (const next of [handler, () => {}]) {
          assert.throws(() => guard.serve(next), new TypeError(`Cannot serve ${subject}: it is served already`));
        }
        guard.release();
        assert.ok(thrownBy(() => guard.serve(handler)) instanceof TypeError);
        const other = hold(name);
        other.release();
        assert.ok(thrownBy(() => other.serve(handler)) instanceof TypeError);
        assert.deepEqual(list(), []);
      },
    },
    {
      name: "serve() called late handles what came before, in its order",
      async run() {
        using pair = await connected();
        const sent = Array.from({ length: 5 }, (_, i) => watch(pair.running.send(i, WATCHDOG)));
        for (let turn = 0; turn < 20; turn++) {
          await setTimeout(1);
          assert.ok(sent.every(({ state }) => state === "pending"));
        }
        const seen: unknown[] = [];
        pair.guard.serve(({ data }) => {
          seen.push(data);
          return { data: data! };
        });
        await until(() => sent.every(({ state }) => state === "fulfilled"), "all replies");
        assert.deepEqual([seen, sent.map(({ value }) => value!.data)], [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]);
      },
    },
    {
      name: "a holder that does not serve: TimeoutError, delivered \"no\", not before time is up; never handled later",
      async run() {
        using pair = await connected();
        for (const timeout of [0, 1, 4.5, 40]) {
          const start = performance.now();
          assert.equal(await timeoutOf(pair.running.send(timeout, { timeout })), "no");
          assert.ok(performance.now() - start >= timeout, `${performance.now() - start} >= ${timeout}`);
        }
        const seen: unknown[] = [];
        pair.guard.serve(({ data }) => void seen.push(data));
        await pair.running.send("after", WATCHDOG);
        assert.deepEqual(seen, ["after"]);
      },
    },
    {
      name: "a holder that is slow: TimeoutError, delivered \"unknown\" if and only if it has begun",
      async run() {
        const desk = new Desk();
        using pair = await connected(desk.handler);
        const begun = new Map<unknown, boolean>();
        for (let timeout = 1; ![...begun.values()].includes(true); timeout *= 2) {
          assert.ok(timeout < LONGEST, "it never begins");
          const delivered = await timeoutOf(pair.running.send(timeout, { timeout }));
          begun.set(timeout, delivered === "unknown");
        }
        await setImmediate();
        assert.deepEqual(desk.data, [...begun.keys()].filter((timeout) => begun.get(timeout)));
        desk.answer();
        const last = pair.running.send("last", WATCHDOG);
        await until(() => desk.data.includes("last"), "the next one is served");
        desk.answer();
        await last;
      },
    },
    {
      name: "abort() rejects with the signal's reason in the same turn, and what had not begun never does",
      async run() {
        const reasons = ["a text", 0, null, new SyntaxError("mine"), Symbol("reason")];
        using idle = await connected();
        for (const reason of reasons) {
          const controller = new AbortController();
          const sending = watch(idle.running.send("waits", { signal: controller.signal }));
          await setImmediate();
          assert.equal(sending.state, "pending");
          controller.abort(reason);
          await microtasks();
          assert.deepEqual([sending.state, sending.reason], ["rejected", reason]);
        }
        const desk = new Desk();
        idle.guard.serve(desk.handler);
        for (const [i, reason] of reasons.entries()) {
          const controller = new AbortController();
          const sending = watch(idle.running.forward({ args: [`${i}`], signal: controller.signal }));
          await desk.came(i + 1);
          controller.abort(reason);
          await microtasks();
          assert.deepEqual([sending.state, sending.reason], ["rejected", reason]);
        }
        assert.deepEqual(desk.requests.map(({ args }) => args), reasons.map((_, i) => [`${i}`]));
        desk.answer();
      },
    },
    {
      name: "send() with a signal that is aborted already: rejected with its reason, nothing is sent",
      async run() {
        const desk = new Desk();
        using pair = await connected(desk.handler);
        for (const reason of ["a text", 0, null, new SyntaxError("mine")]) {
          const sending = watch(pair.running.send("never", { signal: AbortSignal.abort(reason) }));
          const forwarding = watch(pair.running.forward({ signal: AbortSignal.abort(reason) }));
          await microtasks();
          assert.deepEqual([sending.reason, forwarding.reason], [reason, reason]);
        }
        const last = pair.running.send("last", WATCHDOG);
        await desk.came(1);
        assert.deepEqual(desk.data, ["last"]);
        desk.answer();
        await last;
      },
    },
    {
      name: "a reason that looks like an error of ours is the caller's own all the same; the message is withdrawn",
      async run() {
        using pair = await connected();
        using other = await SingleInstance.connect(pair.name);
        const notRunning = await notRunningOf(SingleInstance.connect(freshKey()));
        for (const reason of [notRunning, new DOMException("late", "TimeoutError")]) {
          const controller = new AbortController();
          const sending = watch(pair.running.send("withdrawn", { signal: controller.signal }));
          await setImmediate();
          controller.abort(reason);
          await microtasks();
          assert.equal(sending.reason, reason);
          assert.equal((reason as { delivered?: string }).delivered, reason === notRunning ? "no" : undefined);
        }
        const seen: unknown[] = [];
        pair.guard.serve(({ data }) => void seen.push(data));
        await other.send("after", WATCHDOG);
        assert.deepEqual(seen, ["after"]);
      },
    },
    {
      name: "an abort after the reply changes nothing",
      async run() {
        using pair = await connected(() => ({ exitCode: 3 }));
        const controller = new AbortController();
        const reply = await pair.running.send(1, { signal: controller.signal, ...WATCHDOG });
        controller.abort();
        await microtasks();
        assert.deepEqual(reply, { exitCode: 3 });
        assert.deepEqual(await pair.running.send(1, WATCHDOG), { exitCode: 3 });
      },
    },
    {
      name: "request.signal aborts when the sender gives up or its time is up, and for nobody else",
      async run() {
        const desk = new Desk();
        using pair = await connected(desk.handler);
        const controller = new AbortController();
        const stays = watch(pair.running.send("stays", WATCHDOG));
        const aborted = watch(pair.running.send("aborted", { signal: controller.signal }));
        await desk.came(2);
        const [first, second] = desk.requests as [InstanceRequest, InstanceRequest];
        assert.deepEqual([first.signal.aborted, second.signal.aborted], [false, false]);
        controller.abort();
        await until(() => second.signal.aborted, "it is told");
        assertDomException(second.signal.reason, "AbortError", /^The sender has died or given up$/);
        assertDomException(aborted.reason, "AbortError");

        let late: InstanceRequest | undefined;
        for (let timeout = 8; late === undefined; timeout *= 2) {
          assert.ok(timeout < LONGEST, "it never begins");
          await timeoutOf(pair.running.send(`late ${timeout}`, { timeout }));
          late = desk.requests[2];
        }
        await until(() => late.signal.aborted, "it is told");
        assertDomException(late.signal.reason, "AbortError", /^The sender has died or given up$/);

        assert.deepEqual([first.signal.aborted, stays.state], [false, "pending"]);
        desk.answer();
        await until(() => stays.state === "fulfilled", "its reply");
        assert.equal(first.signal.aborted, false);
      },
    },
    {
      name: "release() tells the handlers that run, in the same turn",
      async run() {
        const desk = new Desk();
        using pair = await connected(desk.handler);
        const sending = watch(pair.running.send(1, WATCHDOG));
        await desk.came(1);
        pair.guard.release();
        const { signal } = desk.requests[0]!;
        assert.equal(signal.aborted, true);
        assertDomException(signal.reason, "AbortError", /^Released instance ".*": nobody waits for the reply$/);
        await until(() => sending.state === "rejected", "its sender is told");
        desk.answer();
        await microtasks();
      },
    },
    {
      name: "release() does not wait: delivered is \"unknown\" for what had begun, \"no\" for what had not",
      async run() {
        const desk = new Desk();
        using pair = await connected(desk.handler);
        const sent = Array.from({ length: HANDLERS + 3 }, (_, i) => watch(pair.running.send(i, WATCHDOG)));
        await desk.came(HANDLERS);
        pair.guard.release();
        await until(() => sent.every(({ state }) => state === "rejected"), "all are told");
        const subject = `instance ${JSON.stringify(pair.name)}`;
        for (const [i, { reason }] of sent.entries()) {
          assert.ok(reason instanceof NotRunningError, `${reason}`);
          assert.equal(reason.delivered, i < HANDLERS ? "unknown" : "no");
          assert.equal(
            reason.message,
            `Cannot send to ${subject}: ` + (i < HANDLERS
              ? "its holder died or left while it handled the message; whether it was handled cannot be known"
              : "its holder is leaving; the message was not handed over"),
          );
          assert.deepEqual([reason.code, reason.operation, reason.key], ["NotRunning", "send to", pair.name]);
        }
        desk.answer();
        await setImmediate();
        assert.equal(desk.requests.length, HANDLERS, "what was refused is not handled");
        pair.running.close();
        assert.deepEqual(list(), []);
      },
    },
    {
      name: "release() inside a handler: its sender learns that the outcome is unknown, who waits is refused",
      async run() {
        for (const isAsync of [false, true]) {
          let handled = 0;
          using pair = await connected((): InstanceReply | Promise<InstanceReply> => {
            handled++;
            pair.guard.release();
            const reply = { exitCode: 1 };
            return isAsync ? setImmediate(reply) : reply;
          });
          const first = watch(pair.running.send(1, WATCHDOG));
          const second = watch(pair.running.send(2, WATCHDOG));
          await until(() => first.state !== "pending" && second.state !== "pending", "both are told");
          assert.deepEqual(
            [first, second].map(({ reason }) => (reason as NotRunningError).delivered),
            ["unknown", "no"],
          );
          assert.equal(handled, 1);
          hold(pair.name).release();
        }
      },
    },
    {
      name: "`await using` refuses what comes then, and waits for the handlers that run before it releases",
      async run() {
        const desk = new Desk();
        using pair = await connected(desk.handler);
        const sent = Array.from({ length: HANDLERS + 2 }, (_, i) => watch(pair.running.send(i, WATCHDOG)));
        await desk.came(HANDLERS);
        let isDisposed = false;
        const disposed = pair.guard[Symbol.asyncDispose]().then(() => isDisposed = true);
        const late = await notRunningOf(pair.running.send("late", WATCHDOG));
        assert.equal(late.delivered, "no");
        assert.match(late.message, /: its holder takes no more messages; the message was not handed over$/);
        await until(() => sent[HANDLERS + 1]!.state === "rejected", "who waited is refused");
        for (const { reason } of sent.slice(HANDLERS)) assert.equal((reason as NotRunningError).delivered, "no");
        for (let at = 0; at < HANDLERS; at++) {
          await setImmediate();
          assert.equal(isDisposed, false);
          assert.equal(SingleInstance.tryAcquire(pair.name), undefined, "it is held until then");
          assert.equal(desk.requests[at]!.signal.aborted, false);
          desk.answer(at, { data: at });
          await until(() => sent[at]!.state === "fulfilled", "its reply");
          assert.deepEqual(sent[at]!.value, { data: at });
        }
        await disposed;
        assert.equal(desk.requests.length, HANDLERS);
        hold(pair.name).release();
      },
    },
    {
      name: "`await using` twice: both wait, and both end",
      async run() {
        const desk = new Desk();
        using pair = await connected(desk.handler);
        const sending = watch(pair.running.send(1, WATCHDOG));
        await desk.came(1);
        const disposed = [1, 2].map(() => watch(pair.guard[Symbol.asyncDispose]()));
        await setImmediate();
        assert.deepEqual(disposed.map(({ state }) => state), ["pending", "pending"]);
        desk.answer();
        await until(() => disposed.every(({ state }) => state === "fulfilled"), "both end");
        await until(() => sending.state === "fulfilled", "its reply");
      },
    },
    {
      name: "a handler that runs while `await using` waits still learns that its sender has given up",
      async run() {
        const desk = new Desk();
        using pair = await connected(desk.handler);
        const controller = new AbortController();
        const sending = watch(pair.running.send(1, { signal: controller.signal }));
        await desk.came(1);
        const disposed = pair.guard[Symbol.asyncDispose]();
        controller.abort();
        await until(() => desk.requests[0]!.signal.aborted, "it is told");
        assert.equal(sending.state, "rejected");
        desk.answer();
        await disposed;
      },
    },
    {
      name: "release() while `await using` waits ends that",
      async run() {
        const desk = new Desk();
        using pair = await connected(desk.handler);
        const sending = watch(pair.running.send(1, WATCHDOG));
        await desk.came(1);
        const disposed = pair.guard[Symbol.asyncDispose]();
        pair.guard.release();
        await disposed;
        await until(() => sending.state === "rejected", "its sender is told");
        assert.equal((sending.reason as NotRunningError).delivered, "unknown");
        desk.answer();
      },
    },
    {
      name: "close() rejects what waits with AbortError, in the same turn; send() after it: TypeError",
      async run() {
        const desk = new Desk();
        using pair = await connected(desk.handler);
        const { name, running } = pair;
        using other = await SingleInstance.connect(name);
        const theirs = watch(other.send("theirs", WATCHDOG));
        const sent = Array.from({ length: HANDLERS + 2 }, (_, i) => watch(running.send(i, WATCHDOG)));
        await desk.came(HANDLERS);
        for (let i = 0; i < 3; i++) assert.equal(running.close(), undefined);
        await microtasks();
        for (const { reason } of sent) assertDomException(reason, "AbortError");
        for (const again of [running.send(1), running.forward()]) {
          const error = await rejectionOf(again);
          assert.ok(error instanceof TypeError, `${error}`);
          assert.equal(error.message, `Cannot send to instance ${JSON.stringify(name)}: the connection is closed`);
        }
        assert.equal(running.info.pid, process.pid, "what it said stays");
        await until(() => desk.requests.slice(1, HANDLERS).every(({ signal }) => signal.aborted), "handlers are told");
        assert.equal(theirs.state, "pending");
        desk.answer();
        await until(() => theirs.state === "fulfilled", "another connection goes on");
        assert.equal(desk.requests.length, HANDLERS, "what waited is not handled");
      },
    },
    {
      name: "a connection that never sent closes as well, at the end of `using` too",
      async run() {
        const name = freshKey();
        using _guard = hold(name);
        {
          using running = await SingleInstance.connect(name);
          assert.equal(running.info.pid, process.pid);
        }
        const running = await SingleInstance.connect(name);
        running[Symbol.dispose]();
        assert.ok(await rejectionOf(running.send(1)) instanceof TypeError);
      },
    },
    {
      name: "there is room for 64 messages that wait; the 65th waits for a place, and is told when time is up",
      async run() {
        using pair = await connected();
        const controllers = Array.from({ length: PLACES }, () => new AbortController());
        const sent = controllers.map(({ signal }, i) => watch(pair.running.send(i, { signal })));
        for (const timeout of [0, 30]) {
          const start = performance.now();
          assert.equal(await timeoutOf(pair.running.send("too many", { timeout })), "no");
          assert.ok(performance.now() - start >= timeout);
        }
        const controller = new AbortController();
        const given = watch(pair.running.send("given up", { signal: controller.signal }));
        await setImmediate();
        controller.abort("enough");
        await microtasks();
        assert.equal(given.reason, "enough");

        const next = watch(pair.running.send("next", WATCHDOG));
        await setImmediate();
        controllers[7]!.abort();
        const seen: unknown[] = [];
        pair.guard.serve(({ data }) => void seen.push(data));
        await until(() => next.state === "fulfilled", "it has found a place");
        await until(() => sent.every(({ state }) => state !== "pending"), "all have ended");
        assert.deepEqual(sent.map(({ state }) => state), sent.map((_, i) => i === 7 ? "rejected" : "fulfilled"));
        assert.deepEqual(seen, [...sent.keys()].filter((i) => i !== 7).concat("next" as never));
      },
    },
    {
      name: "beside one that waits, a connection reaches the holder of a new file, when the old one was removed from outside",
      needs: "system",
      async run() {
        const name = freshKey();
        const begun = Promise.withResolvers<void>();
        const end = Promise.withResolvers<{ data: string }>();
        using first = SingleInstance.tryAcquire(name)!;
        first.serve(() => {
          begun.resolve();
          return end.promise;
        });
        using running = await SingleInstance.connect(name);
        const waiting = running.send("old", WATCHDOG);
        await begun.promise;
        unlinkSync(`${directory()}/i-${name}`);
        using second = SingleInstance.tryAcquire(name)!;
        second.serve(() => ({ data: "of the new one" }));
        assert.deepEqual(await running.send("new", WATCHDOG), { data: "of the new one" });
        end.resolve({ data: "of the old one" });
        assert.deepEqual(await waiting, { data: "of the old one" });
        assert.deepEqual(await running.send("newer", WATCHDOG), { data: "of the new one" });
      },
    },
    {
      name: "a thousand messages at once are all answered, each by its own reply",
      async run() {
        using pair = await connected(({ data }) => ({ data: [data as Json] }));
        const sent = Array.from({ length: 1000 }, (_, i) => pair.running.send(i, WATCHDOG));
        assert.deepEqual((await Promise.all(sent)).map(({ data }) => data), sent.map((_, i) => [i]));
      },
    },
    {
      name: "send() where nobody holds the guard any more: NotRunningError, delivered \"no\"",
      async run() {
        using pair = await connected(() => {});
        await pair.running.send(1, WATCHDOG);
        pair.guard.release();
        for (let i = 0; i < 3; i++) {
          const error = await notRunningOf(pair.running.send(1, WATCHDOG));
          assert.deepEqual([error.code, error.delivered, error.key], ["NotRunning", "no", pair.name]);
          assert.equal(
            error.message,
            `Cannot send to instance ${JSON.stringify(pair.name)}: nobody holds it; the message was not handed over`,
          );
        }
        pair.running.close();
        assert.deepEqual(list(), []);
      },
    },
    {
      name: "a connection reaches whoever holds the guard next, whether it has sent before or not",
      async run() {
        const name = freshKey();
        const handler = (round: number): RequestHandler => () => ({ data: round });
        let guard = hold(name);
        guard.serve(handler(0));
        using used = await SingleInstance.connect(name);
        using fresh = await SingleInstance.connect(name);
        for (let round = 1; round <= 5; round++) {
          assert.deepEqual(await used.send("who?", WATCHDOG), { data: round - 1 });
          const waiting = round % 2 === 0 ? SingleInstance.acquire(name, WATCHDOG) : undefined;
          guard.release(); // its file goes, unless somebody waits
          guard = await (waiting ?? SingleInstance.acquire(name));
          guard.serve(handler(round));
        }
        assert.deepEqual(await fresh.send("who?", WATCHDOG), { data: 5 });
        assert.equal(used.info.pid, process.pid);
        guard.release();
      },
    },
    {
      name: "a connection whose file was removed from outside reaches whoever holds the name now",
      needs: "system",
      async run() {
        using pair = await connected(() => ({ data: "unseen" }));
        assert.deepEqual(await pair.running.send(1, WATCHDOG), { data: "unseen" });
        unlinkSync(inspect("instance", pair.name)!.path);
        using guard = hold(pair.name);
        guard.serve(() => ({ data: "seen" }));
        assert.deepEqual(await pair.running.send(1, WATCHDOG), { data: "seen" });
      },
    },
    {
      name: "one who waits for the guard does not get the messages that its holder refused",
      async run() {
        using pair = await connected();
        const sent = Array.from({ length: 5 }, (_, i) => watch(pair.running.send(i, WATCHDOG)));
        const waiting = SingleInstance.acquire(pair.name, WATCHDOG);
        pair.guard.release();
        using next = await waiting;
        const seen: unknown[] = [];
        next.serve(({ data }) => void seen.push(data));
        await until(() => sent.every(({ state }) => state === "rejected"), "all are told");
        for (const { reason } of sent) assert.equal((reason as NotRunningError).delivered, "no");
        await pair.running.send("again", WATCHDOG);
        assert.deepEqual(seen, ["again"]);
      },
    },
    {
      name: "waits with ref: false are answered as well",
      async run() {
        const name = freshKey();
        using guard = hold(name);
        guard.serve(() => ({ exitCode: 1 }), { ref: false });
        using running = await SingleInstance.connect(name);
        const alive = setInterval(() => {}, 1000); // such waits keep no process alive
        assert.deepEqual(await running.send(1, { ref: false, ...WATCHDOG }), { exitCode: 1 });
        assert.deepEqual(await running.forward({ ref: false, ...WATCHDOG }), { exitCode: 1 });
        clearInterval(alive);
      },
    },
    {
      name: "messages let go of their signals when they have ended, however",
      async run() {
        const { signal } = new AbortController();
        const listeners = countListeners(signal);
        using idle = await connected();
        await timeoutOf(idle.running.send(1, { signal, timeout: 5 }));
        assert.equal(listeners.count, 0, "after a timeout");
        const closed = watch(idle.running.send(1, { signal }));
        await setImmediate();
        assert.equal(listeners.count, 1);
        idle.running.close();
        await microtasks();
        assert.deepEqual([closed.state, listeners.count], ["rejected", 0], "after close()");
        using pair = await connected(({ data }) => {
          if (data === "throw") throw new Error("no");
        });
        await pair.running.send(1, { signal, ...WATCHDOG });
        await failureOf(pair.running.send("throw", { signal, ...WATCHDOG }));
        assert.equal(listeners.count, 0, "after a reply");
        pair.guard.release();
        await notRunningOf(pair.running.send(1, { signal, ...WATCHDOG }));
        assert.equal(listeners.count, 0, "after a refusal");
      },
    },
    {
      name: "no timer runs when a guard was released and its connections are closed",
      async run() {
        using timers = countTimers();
        const desk = new Desk();
        using pair = await connected(desk.handler);
        const sent = Array.from({ length: 3 }, (_, i) => watch(pair.running.send(i, WATCHDOG)));
        await desk.came(3);
        assert.ok(timers.count > 0);
        desk.answer();
        await until(() => sent.every(({ state }) => state === "fulfilled"), "all replies");
        pair.running.close();
        pair.guard.release();
        assert.equal(timers.count, 0);
      },
    },
    {
      name: "200 connections, each with a message, leave neither descriptors nor mappings nor files",
      needs: "system",
      async run() {
        const name = freshKey();
        using guard = hold(name);
        guard.serve(({ data }) => {
          if (data === "throw") throw new Error("no");
          return { data: data! };
        });
        const round = async (i: number): Promise<void> => {
          using running = await SingleInstance.connect(name);
          if (i % 5 === 0) await failureOf(running.send("throw", WATCHDOG));
          else if (i % 5 === 1) await rejectionOf(running.send(i, { timeout: 0 }));
          else if (i % 5 === 2) watch(running.send(i, WATCHDOG)); // closed while it waits
          else assert.deepEqual(await running.send([i], WATCHDOG), { data: [i] });
        };
        for (let i = 0; i < 5; i++) await round(i);
        const nameless = (path: string): string => path.replace(/[0-9a-f]{16}/, "");
        const left = (): unknown => {
          const { descriptors, mappings } = footprint(process.pid, directory());
          return [descriptors.map(nameless).sort(), mappings, readdirSync(directory()).map(nameless).sort()];
        };
        await until(() => readdirSync(directory()).every((file) => !file.startsWith("r.")), "no message is left");
        const before = left();
        for (let i = 0; i < 200; i++) await round(i);
        await until(() => readdirSync(directory()).every((file) => !file.startsWith("r.")), "no message is left");
        assert.deepEqual(left(), before);
        guard.release();
        assert.deepEqual(list(), []);
      },
    },
    {
      name: "another process sends, and is the one that request.from tells",
      needs: "system",
      async run() {
        const requests: InstanceRequest[] = [];
        using pair = await connected((request) => {
          requests.push(request);
          return { data: [request.data as Json, request.from.pid!] };
        });
        await using peer = await startPeer();
        const data = await peer.run(async ({ SingleInstance }, state, name) => {
          state.other = SingleInstance.tryAcquire(`${name} of the peer`);
          using running = await SingleInstance.connect(name);
          return (await running.send({ from: "there" })).data;
        }, pair.name);
        assert.deepEqual(data, [{ from: "there" }, peer.pid]);
        using other = await SingleInstance.connect(`${pair.name} of the peer`);
        const { pid, startedAt, alive } = requests[0]!.from;
        assert.deepEqual([pid, startedAt, alive], [peer.pid, other.info.startedAt, true]);
        await peer.run((_, state) => state.other.release());
      },
    },
    {
      name: "a sender that is killed: request.signal aborts, and request.from is not alive",
      needs: "system",
      async run() {
        const desk = new Desk();
        using pair = await connected(desk.handler);
        await using peer = await startPeer();
        peer.run(async ({ SingleInstance }, _, name) => {
          const running = await SingleInstance.connect(name);
          for (let i = 0; i < 20; i++) void running.send(i);
        }, pair.name).catch(() => {});
        await desk.came(HANDLERS);
        await killPeer(peer);
        await until(() => desk.requests.every(({ signal }) => signal.aborted), "they are told");
        for (const { from, signal } of desk.requests) {
          assertDomException(signal.reason, "AbortError", /^The sender has died or given up$/);
          assert.equal(from.alive, false);
        }
        desk.answer();
        const mine = pair.running.send("mine", WATCHDOG);
        await until(() => desk.data.includes("mine"), "the next one is served");
        desk.answer();
        await mine;
        assert.equal(desk.requests.length, HANDLERS + 1, "what a dead one left is not handled");
        assert.deepEqual(readdirSync(directory()).filter((file) => file.startsWith("r.")), []);
      },
    },
    {
      name: "a holder that is killed: \"no\" for what it had not taken, \"unknown\" for what it had; the next one serves",
      needs: "system",
      async run() {
        const name = freshKey();
        await using peer = await startPeer();
        await peer.run(({ SingleInstance }, state, name) => {
          state.guard = SingleInstance.tryAcquire(name);
          state.begun = 0;
          state.guard.serve(() => new Promise(() => state.begun++));
        }, name);
        using running = await SingleInstance.connect(name);
        assert.equal(running.info.pid, peer.pid);
        const sent = Array.from({ length: HANDLERS + 3 }, (_, i) => watch(running.send(i, WATCHDOG)));
        await peer.run(async (_, state) => {
          while (state.begun < 16) await new Promise((resolve) => setTimeout(resolve, 1));
        });
        await killPeer(peer);
        await until(() => sent.every(({ state }) => state === "rejected"), "all are told");
        for (const [i, { reason }] of sent.entries()) {
          assert.ok(reason instanceof NotRunningError, `${reason}`);
          assert.equal(reason.delivered, i < HANDLERS ? "unknown" : "no");
        }
        using guard = await SingleInstance.acquire(name);
        assert.equal(guard.recovered, true);
        guard.serve(({ data }) => ({ data: data! }));
        assert.deepEqual(await running.send("again", WATCHDOG), { data: "again" });
      },
    },
    {
      name: "a holder that is killed before it serves: all are told \"no\"",
      needs: "system",
      async run() {
        const name = freshKey();
        await using peer = await startPeer();
        await peer.run(({ SingleInstance }, state, name) => {
          state.guard = SingleInstance.tryAcquire(name);
        }, name);
        using running = await SingleInstance.connect(name);
        const sent = Array.from({ length: PLACES + 1 }, (_, i) => watch(running.send(i, WATCHDOG)));
        await setImmediate();
        await killPeer(peer);
        await until(() => sent.every(({ state }) => state === "rejected"), "all are told");
        for (const { reason } of sent) assert.equal((reason as NotRunningError).delivered, "no", `${reason}`);
        running.close();
        hold(name).release();
        assert.deepEqual(list(), []);
      },
    },
    {
      name: "when one process releases and another acquires, a connection made before reaches that one",
      needs: "system",
      async run() {
        using pair = await connected(() => ({ data: "first" }));
        await using peer = await startPeer();
        assert.deepEqual(await pair.running.send(1, WATCHDOG), { data: "first" });
        const taken = peer.run(async ({ SingleInstance }, state, name) => {
          state.guard = await SingleInstance.acquire(name, { timeout: 60_000 });
          state.guard.serve(() => ({ data: "second" }));
        }, pair.name);
        pair.guard.release();
        await taken;
        assert.deepEqual(await pair.running.send(1, WATCHDOG), { data: "second" });
        await peer.run((_, state) => state.guard.release());
        assert.equal((await notRunningOf(pair.running.send(1, WATCHDOG))).delivered, "no");
        hold(pair.name).release();
      },
    },
    {
      name: "a holder that ends in order: all are told, none waits for ever",
      needs: "system",
      async run() {
        const name = freshKey();
        await using peer = await startPeer();
        await peer.run(({ SingleInstance }, state, name) => {
          state.guard = SingleInstance.tryAcquire(name);
          state.begun = 0;
          state.guard.serve(() => new Promise(() => state.begun++), { ref: false });
        }, name);
        using running = await SingleInstance.connect(name);
        const sent = Array.from({ length: HANDLERS + 3 }, (_, i) => watch(running.send(i, WATCHDOG)));
        await peer.run(async (_, state) => {
          while (state.begun < 16) await new Promise((resolve) => setTimeout(resolve, 1));
        });
        assert.equal(await peer.end(), 0);
        await until(() => sent.every(({ state }) => state === "rejected"), "all are told");
        for (const [i, { reason }] of sent.entries()) {
          assert.ok(reason instanceof NotRunningError, `${reason}`);
          assert.equal(reason.delivered, i < HANDLERS ? "unknown" : "no");
        }
        using guard = hold(name);
        assert.equal(guard.recovered, false);
      },
    },
  ],
};
