/** A program of which one runs: the first works, later ones hand it their arguments, or follow it. */

import assert from "node:assert/strict";
import { setImmediate, setTimeout } from "node:timers/promises";
import {
  AlreadyRunningError,
  inspect,
  type InstanceRequest,
  list,
  MessageTooLargeError,
  NotRunningError,
  QshmError,
  RequestFailedError,
  type RequestHandler,
  runSingleInstance,
  SingleInstance,
} from "../../../mod.ts";
import { testDirectory } from "../../support/directory.ts";
import type { Program } from "../../support/program.ts";
import { freshKey, type Suite } from "../case.ts";
import {
  assertDomException,
  countListeners,
  countTimers,
  type Fate,
  microtasks,
  rejectionOf,
  until,
  watch,
} from "../helpers.ts";
import { directory, killPeer, startPeer, thisRuntime } from "../peers.ts";

type Main = (instance: SingleInstance) => number | void | Promise<number | void>;

const PROGRAM = new URL("../../unit/programs/run_single.ts", import.meta.url).pathname;

/** For a start that must not become the first. */
const never: Main = () => assert.fail("a later start ran main");
const silent: RequestHandler = () => {};

function isHeld(name: string): boolean {
  return inspect("instance", name) !== undefined;
}

interface First extends AsyncDisposable {
  readonly instance: SingleInstance;
  readonly fate: Fate<number>;
  /** Lets `main` end. */
  end(code?: number): void;
}

/** A first start, whose `main` runs until it is told to end. */
async function first(name: string, onRequest?: RequestHandler): Promise<First> {
  const instance = Promise.withResolvers<SingleInstance>();
  const gate = Promise.withResolvers<number | void>();
  const running = runSingleInstance(name, {
    main: (held) => {
      instance.resolve(held);
      return gate.promise;
    },
    ...(onRequest && { onRequest }),
  });
  const fate = watch(running);
  running.catch(instance.reject);
  return {
    instance: await instance.promise,
    fate,
    end: (code) => gate.resolve(code),
    async [Symbol.asyncDispose]() {
      gate.resolve();
      await running;
    },
  };
}

/** Starts the program in a process of its own, in this runtime. */
async function start(name: string, args: readonly string[] = [], env: Record<string, string> = {}): Promise<Program> {
  const { Program } = await import("../../support/program.ts");
  return new Program(thisRuntime(), PROGRAM, { directory: directory(), args: [name, ...args], env });
}

/** All that it prints. */
async function linesOf(program: Program): Promise<string[]> {
  const lines: string[] = [];
  for (;;) {
    try {
      lines.push(await program.line());
    } catch {
      return lines;
    }
  }
}

export const runSingle: Suite = {
  name: "run single instance",
  cases: [
    {
      name: "the first runs main, and resolves to what that gives; 0 if nothing",
      async run() {
        const name = freshKey();
        const mains: [Main, number][] = [
          [() => 7, 7],
          [() => 0, 0],
          [() => {}, 0],
          [() => Promise.resolve(255), 255],
          [async () => void await setImmediate(), 0],
        ];
        for (const [main, code] of mains) {
          for (const onRequest of [undefined, silent]) {
            const result = await runSingleInstance(name, { main, ...(onRequest && { onRequest }) });
            assert.equal(result, code);
            assert.deepEqual(list(), [], "it has released");
          }
        }
      },
    },
    {
      name: "main is given the guard, which is held as long as it runs",
      async run() {
        const name = freshKey();
        const program = await first(name, silent);
        assert.ok(program.instance instanceof SingleInstance);
        assert.deepEqual([program.instance.recovered, program.instance.replaced.aborted], [false, false]);
        for (let turn = 0; turn < 20; turn++) {
          await setTimeout(1);
          assert.equal(SingleInstance.tryAcquire(name), undefined);
          assert.equal(program.fate.state, "pending");
        }
        program.end(3);
        await until(() => program.fate.state !== "pending", "its end");
        assert.equal(program.fate.value, 3);
        assert.equal(isHeld(name), false);
      },
    },
    {
      name: "what main throws, at once or later, is what it rejects with; the guard is released",
      async run() {
        const name = freshKey();
        for (const error of [new SyntaxError("mine"), "a text", undefined]) {
          const mains: Main[] = [
            () => {
              throw error;
            },
            () => Promise.reject(error),
            async (instance) => {
              await setImmediate();
              instance.release();
              throw error;
            },
          ];
          for (const main of mains) {
            assert.equal(await rejectionOf(runSingleInstance(name, { main, onRequest: silent })), error);
            assert.equal(isHeld(name), false);
          }
        }
      },
    },
    {
      name: "a later start forwards what it was started with, and resolves to the exit code that is replied",
      async run() {
        const name = freshKey();
        const requests: InstanceRequest[] = [];
        await using _program = await first(name, (request) => {
          requests.push(request);
          assert.deepEqual([request.from.pid, request.from.alive], [process.pid, true]);
          return request.args[0] === "none" ? {} : { exitCode: Number(request.args[0]) };
        });
        for (const code of [0, 1, 42, 255]) {
          const args = [`${code}`, "", "a|\nb"];
          assert.equal(await runSingleInstance(name, { main: never, onRequest: silent, args }), code);
          assert.deepEqual([requests.at(-1)!.kind, requests.at(-1)!.args], ["arguments", args]);
          assert.equal(requests.at(-1)!.data, undefined);
        }
        assert.equal(await runSingleInstance(name, { main: never, onRequest: silent, args: ["none"] }), 0);
        assert.equal(requests.length, 5);
      },
    },
    {
      name: "a later start without arguments of its own forwards this program's",
      async run() {
        const name = freshKey();
        const seen: (readonly string[])[] = [];
        await using _program = await first(name, ({ args }) => void seen.push(args));
        assert.equal(await runSingleInstance(name, { main: never, onRequest: silent }), 0);
        assert.deepEqual(seen, [process.argv.slice(2)]);
      },
    },
    {
      name: "many later starts at once are all answered by the first",
      async run() {
        const name = freshKey();
        await using _program = await first(name, ({ args }) => ({ exitCode: Number(args[0]) }));
        const codes = await Promise.all(Array.from({ length: 100 }, (_, i) => {
          return runSingleInstance(name, { main: never, onRequest: silent, args: [`${i}`] });
        }));
        assert.deepEqual(codes, [...codes.keys()]);
      },
    },
    {
      name: "of many that start at once one runs main, and answers the others",
      async run() {
        const name = freshKey();
        const gate = Promise.withResolvers<void>();
        let mains = 0;
        let requests = 0;
        const starts = Array.from({ length: 30 }, () => watch(runSingleInstance(name, {
          main: async () => {
            mains++;
            await gate.promise;
            return 1;
          },
          onRequest: () => {
            requests++;
            return { exitCode: 2 };
          },
        })));
        await until(() => starts.filter(({ state }) => state === "fulfilled").length === 29, "all are answered");
        gate.resolve();
        await until(() => starts.every(({ state }) => state === "fulfilled"), "the first ends");
        assert.deepEqual(starts.map(({ value }) => value).sort(), [1, ...Array(29).fill(2)]);
        assert.deepEqual([mains, requests], [1, 29]);
      },
    },
    {
      name: "a later start without onRequest rejects with AlreadyRunningError, and asks nothing",
      async run() {
        const name = freshKey();
        let requests = 0;
        await using _program = await first(name, () => void requests++);
        const later = watch(runSingleInstance(name, { main: never }));
        await until(() => later.state !== "pending", "an end");
        assert.ok(later.reason instanceof AlreadyRunningError, `${later.reason}`);
        assert.equal(later.reason.pid, process.pid);
        await setImmediate();
        assert.equal(requests, 0);
      },
    },
    {
      name: "what onRequest throws there is a RequestFailedError here",
      async run() {
        const name = freshKey();
        await using _program = await first(name, ({ args }) => {
          throw new RangeError(`no ${args}`);
        });
        const error = await rejectionOf(runSingleInstance(name, { main: never, onRequest: silent, args: ["such"] }));
        assert.ok(error instanceof RequestFailedError, `${error}`);
        assert.deepEqual([error.handlerName, error.handlerMessage], ["RangeError", "no such"]);
      },
    },
    {
      name: "timeout: a later start whose request nobody answers rejects with TimeoutError, and never runs main",
      async run() {
        const name = freshKey();
        const gate = Promise.withResolvers<void>();
        await using _program = await first(name, () => gate.promise);
        for (const timeout of [0, 1, 30]) {
          const start = performance.now();
          const error = await rejectionOf(runSingleInstance(name, { main: never, onRequest: silent, timeout }));
          assert.ok(performance.now() - start >= Math.floor(timeout), `${performance.now() - start} >= ${timeout}`);
          assertDomException(error, "TimeoutError");
        }
        gate.resolve();
      },
    },
    {
      name: "timeout: a later start to a first that does not serve is told that its request was not handed over",
      async run() {
        const name = freshKey();
        await using _program = await first(name);
        const error = await rejectionOf(runSingleInstance(name, { main: never, onRequest: silent, timeout: 20 }));
        assertDomException(error, "TimeoutError");
        assert.equal((error as { delivered?: string }).delivered, "no");
      },
    },
    {
      name: "an abort ends the wait of a later start in the same turn, with the reason; the first goes on",
      async run() {
        const name = freshKey();
        const begun: InstanceRequest[] = [];
        const gate = Promise.withResolvers<void>();
        await using program = await first(name, (request) => {
          begun.push(request);
          return gate.promise;
        });
        for (const [i, reason] of ["a text", 0, null, new SyntaxError("mine")].entries()) {
          const controller = new AbortController();
          const listeners = countListeners(controller.signal);
          const options = { main: never, onRequest: silent, signal: controller.signal };
          const later = watch(runSingleInstance(name, options));
          await until(() => begun.length > i, "it is being handled");
          assert.equal(later.state, "pending");
          controller.abort(reason);
          await microtasks();
          assert.deepEqual([later.state, later.reason, listeners.count], ["rejected", reason, 0]);
          await until(() => begun[i]!.signal.aborted, "the handler is told");
          const early = watch(runSingleInstance(name, { ...options, signal: AbortSignal.abort(reason) }));
          await microtasks();
          assert.deepEqual([early.state, early.reason], ["rejected", reason]);
        }
        assert.equal(begun.length, 4);
        assert.equal(program.fate.state, "pending");
        gate.resolve();
      },
    },
    {
      name: "main that ends waits for the handlers that run: their starts get the replies",
      async run() {
        const name = freshKey();
        const begun: PromiseWithResolvers<void>[] = [];
        const program = await first(name, async () => {
          const gate = Promise.withResolvers<void>();
          begun.push(gate);
          await gate.promise;
          return { exitCode: 5 };
        });
        const later = watch(runSingleInstance(name, { main: never, onRequest: silent }));
        await until(() => begun.length === 1, "it is being handled");
        program.end(1);
        for (let turn = 0; turn < 10; turn++) {
          await setTimeout(1);
          assert.deepEqual([program.fate.state, later.state], ["pending", "pending"]);
        }
        begun[0]!.resolve();
        await until(() => program.fate.state === "fulfilled" && later.state === "fulfilled", "both end");
        assert.deepEqual([program.fate.value, later.value], [1, 5]);
      },
    },
    {
      name: "a start whose request is refused because the first leaves becomes the first itself",
      async run() {
        const name = freshKey();
        for (let i = 0; i < 10; i++) {
          const guard = SingleInstance.tryAcquire(name)!; // does not serve: requests wait
          const mains: SingleInstance[] = [];
          const main: Main = (instance) => {
            mains.push(instance);
            return 11;
          };
          const later = watch(runSingleInstance(name, { main, onRequest: silent }));
          await setTimeout(i % 3);
          assert.equal(later.state, "pending");
          guard.release();
          await until(() => later.state !== "pending", "its end");
          assert.deepEqual([later.value, mains.length], [11, 1]);
          assert.equal(mains[0]!.recovered, false);
        }
        assert.deepEqual(list(), []);
      },
    },
    {
      name: "of several that are refused one becomes the first, and answers the others",
      async run() {
        const name = freshKey();
        const guard = SingleInstance.tryAcquire(name)!;
        const gate = Promise.withResolvers<number>();
        let mains = 0;
        const later = Array.from({ length: 5 }, (_, i) => watch(runSingleInstance(name, {
          main: () => {
            mains++;
            return gate.promise;
          },
          onRequest: ({ args }) => ({ exitCode: Number(args[0]) }),
          args: [`${i}`],
        })));
        await setImmediate();
        guard.release();
        await until(() => later.filter(({ state }) => state === "fulfilled").length === 4, "four are answered");
        gate.resolve(100);
        await until(() => later.every(({ state }) => state === "fulfilled"), "the first ends");
        assert.equal(mains, 1);
        for (const [i, { value }] of later.entries()) assert.ok(value === i || value === 100, `${value}`);
      },
    },
    {
      name: "a first that keeps refusing is one that takes no requests: AlreadyRunningError, or TimeoutError before",
      async run() {
        const name = freshKey();
        const gate = Promise.withResolvers<void>();
        const guard = SingleInstance.tryAcquire(name)!;
        guard.serve(() => gate.promise);
        using running = await SingleInstance.connect(name);
        const sending = watch(running.send(1));
        await setTimeout(5);
        const disposed = guard[Symbol.asyncDispose]();
        const late = await rejectionOf(runSingleInstance(name, { main: never, onRequest: silent, timeout: 20 }));
        assertDomException(late, "TimeoutError");
        assert.equal((late as { delivered?: string }).delivered, "no");
        const error = await rejectionOf(runSingleInstance(name, { main: never, onRequest: silent }));
        assert.ok(error instanceof AlreadyRunningError, `${error}`);
        gate.resolve();
        await disposed;
        await until(() => sending.state !== "pending", "its end");
      },
    },
    {
      name: "the options of the guard are those of acquire()",
      async run() {
        using place = testDirectory();
        const name = freshKey();
        const options = { directory: place.path, onRequest: silent };
        await runSingleInstance(name, {
          ...options,
          data: { port: 80 },
          args: ["a", "b"],
          maxMessageSize: 300,
          mode: 0o660,
          main: async () => {
            using running = await SingleInstance.connect(name, { directory: place.path });
            assert.deepEqual([running.info.data, running.info.args], [{ port: 80 }, ["a", "b"]]);
            assert.equal(await runSingleInstance(name, { ...options, main: never, args: ["short"] }), 0);
            const long = runSingleInstance(name, { ...options, main: never, args: ["x".repeat(500)] });
            assert.ok(await rejectionOf(long) instanceof MessageTooLargeError);
          },
        });
        const large = runSingleInstance(name, { main: never, data: new Uint8Array(1 << 17) });
        assert.ok(await rejectionOf(large) instanceof MessageTooLargeError);
        const lost = await rejectionOf(runSingleInstance(name, { main: never, directory: "/nonexistent/qshm" }));
        assert.ok(lost instanceof QshmError && lost.code === "DirectoryNotFound", `${lost}`);
        assert.deepEqual([list(), place.entries()], [[], []]);
      },
      needs: "system",
    },
    {
      name: "wrong options: TypeError or RangeError, main does not run and nothing is held",
      async run() {
        const guard = '"directory", "data", "args", "mode", "maxMessageSize"';
        const known = `${guard}, "main", "onRequest", "env", "timeout", "signal"`;
        const bad: [unknown, typeof TypeError | typeof RangeError, string][] = [
          [undefined, TypeError, "Main must be a function: got undefined"],
          [null, TypeError, "Options must be an object: got null"],
          [never, TypeError, "Options must be an object: got function"],
          [{}, TypeError, "Main must be a function: got undefined"],
          [{ main: 1 }, TypeError, "Main must be a function: got number"],
          [{ main: never, onRequest: null }, TypeError, "OnRequest must be a function: got null"],
          [{ main: never, onRequest: {} }, TypeError, "OnRequest must be a function: got object"],
          [{ main: never, onrequest: silent }, TypeError, `Unknown option "onrequest": known are ${known}`],
          [{ main: never, ref: true }, TypeError, `Unknown option "ref": known are ${known}`],
          [{ main: never, timeout: -1 }, RangeError, "Timeout must be at least 0 ms: got -1"],
          [{ main: never, timeout: "1" }, TypeError, "Timeout must be a number: got string"],
          [{ main: never, signal: {} }, TypeError, "Signal must be an AbortSignal"],
          [{ main: never, env: "PATH" }, TypeError, "Env must be an array of names: got string"],
          [{ main: never, env: ["A=B"] }, TypeError, 'Env[0] must be the name of an environment variable: got "A=B"'],
          [{ main: never, args: [1] }, TypeError, "Args[0] must be a string: got number"],
          [{ main: never, data: NaN }, TypeError, "Data must be JSON or a Uint8Array: got NaN"],
          [{ main: never, mode: 0 }, RangeError, "Mode must let the owner read and write, and others do nothing, " +
            "such as 0o660: got 0o0"],
          [{ main: never, maxMessageSize: -1 }, RangeError,
            "MaxMessageSize must be a whole number from 0 to 1073741824: got -1"],
          [{ main: never, directory: "" }, TypeError, "Directory must not be empty or contain NUL"],
        ];
        for (const [options, Class, message] of bad) {
          const error = await rejectionOf(runSingleInstance(freshKey(), options as never));
          assert.ok(error instanceof Class, `${message}: ${error}`);
          assert.equal(error.message, message);
        }
        for (const [name, message] of [[1, "Key must be a string: got number"], ["", "Key must not be empty"]]) {
          const error = await rejectionOf(runSingleInstance(name as string, { main: never }));
          assert.ok(error instanceof TypeError, `${error}`);
          assert.equal(error.message, message);
        }
        assert.deepEqual(list(), []);
      },
    },
    {
      name: "nothing runs on when all have ended: no timer",
      async run() {
        using timers = countTimers();
        const name = freshKey();
        {
          await using _program = await first(name, () => ({ exitCode: 1 }));
          assert.equal(await runSingleInstance(name, { main: never, onRequest: silent }), 1);
        }
        assert.equal(timers.count, 0);
        assert.deepEqual(list(), []);
      },
    },
    {
      name: "a second process prints what the first replies, byte for byte, and exits with its code",
      needs: "system",
      async run() {
        const name = freshKey();
        const requests: InstanceRequest[] = [];
        await using _program = await first(name, (request) => {
          requests.push(request);
          return { stdout: "opened ä🦕\n  twice|", stderr: "a warning\n", exitCode: 42 };
        });
        const args = ["FILE", "", "a|\nb", "--wait"];
        await using second = await start(name, args, { QSHM_TEST_RUN: "set|\n" });
        assert.deepEqual(await linesOf(second), ["opened ä🦕", "  twice|"]);
        assert.deepEqual([await second.exited(), second.stderr], [42, "a warning\n"]);
        const [{ args: forwarded, cwd, env, from }] = requests as [InstanceRequest];
        assert.deepEqual([forwarded, cwd, { ...env }], [[name, ...args], process.cwd(), { QSHM_TEST_RUN: "set|\n" }]);
        assert.deepEqual([from.alive, requests.length], [false, 1]);
      },
    },
    {
      name: "a second process with nothing to print prints nothing, and exits with 0",
      needs: "system",
      async run() {
        const name = freshKey();
        await using _program = await first(name, silent);
        await using second = await start(name);
        assert.deepEqual([await linesOf(second), await second.exited(), second.stderr], [[], 0, ""]);
      },
    },
    {
      name: "a second process becomes the first when that leaves",
      needs: "system",
      async run() {
        const name = freshKey();
        const program = await first(name); // does not serve: requests wait
        await using second = await start(name);
        await until(() => inspect("instance", name)!.attached.length === 2, "it waits for a reply");
        program.end(0);
        assert.deepEqual([await linesOf(second), await second.exited()], [["main runs"], 9]);
        assert.deepEqual(list(), []);
      },
    },
    {
      name: "a first process that is killed: who had not been taken becomes the first, and is told of the crash",
      needs: "system",
      async run() {
        const name = freshKey();
        await using peer = await startPeer();
        await peer.run(({ SingleInstance }, state, name) => {
          state.guard = SingleInstance.tryAcquire(name);
        }, name);
        const recovered: boolean[] = [];
        const main: Main = (instance) => void recovered.push(instance.recovered);
        const later = watch(runSingleInstance(name, { main, onRequest: silent }));
        await setImmediate();
        await killPeer(peer);
        await until(() => later.state !== "pending", "its end");
        assert.deepEqual([later.value, recovered], [0, [true]]);
      },
    },
    {
      name: "a first process that is killed while it handles a request: NotRunningError, delivered \"unknown\"",
      needs: "system",
      async run() {
        const name = freshKey();
        await using peer = await startPeer();
        await peer.run(({ runSingleInstance }, state, name) => {
          state.begun = 0;
          void runSingleInstance(name, {
            main: () => new Promise(() => {}),
            onRequest: () => new Promise(() => state.begun++),
          });
        }, name);
        const later = watch(runSingleInstance(name, { main: never, onRequest: silent }));
        await peer.run(async (_, state) => {
          while (state.begun === 0) await new Promise((resolve) => setTimeout(resolve, 1));
        });
        await killPeer(peer);
        await until(() => later.state !== "pending", "its end");
        assert.ok(later.reason instanceof NotRunningError, `${later.reason}`);
        assert.equal(later.reason.delivered, "unknown");
        assert.equal(await runSingleInstance(name, { main: ({ recovered }) => recovered ? 1 : 0 }), 1);
      },
    },
  ],
};
