/**
 * The single-instance guard.
 *
 * @module
 */

import { runtime } from "../../ffi/load.ts";
import type { Timer } from "../../ffi/native.ts";
import type { Attachment } from "../attachment.ts";
import { Changes } from "../change.ts";
import { AlreadyRunningError, BusyError, NotRunningError, QshmError } from "../errors.ts";
import type { PlaceOptions } from "../life.ts";
import { checkBoolean, checkInteger, checkMode, checkOptions, describe, encodeDirectory, encodeKey } from "../validate.ts";
import { checkWait, poll, type WaitOptions } from "../wait.ts";
import { Candidate, type Elected, type ElectionRequest } from "./election.ts";
import { checkArgs, encodeInfo, findHolder, guards } from "./info.ts";
import { ENVELOPE } from "./message.ts";
import type { Payload } from "./payload.ts";
import { type RunningInstance, runningInstance } from "./running_instance.ts";
import { type RequestHandler, Server, serverFunctions } from "./serving.ts";
import { checkReplacement, type ReplaceOptions, takeOver, takeovers } from "./takeover.ts";

/** How to hold a guard. */
export interface GuardOptions extends PlaceOptions {
  /**
   * Whatever others are to know of this instance, such as the port it listens on. Together with `args` about 60 KiB.
   * Default: nothing.
   */
  data?: Payload;
  /** The arguments that others are told. Default: this program's own. Those that do not fit are cut. */
  args?: readonly string[];
  /** How many bytes a message to this instance, or a reply, may have: up to 1 GiB. Default: 16 MiB. */
  maxMessageSize?: number;
  /** The mode of the guard's file, for a directory that a group shares: the owner's and the group's bits. Default: `0o600`. */
  mode?: number;
}

/** How to wait for a guard. */
export interface AcquireOptions extends GuardOptions, WaitOptions {
  /** Take it over: ask its holder to leave, and wait, before `timeout` begins. */
  replace?: ReplaceOptions;
}

/** The options of a guard. */
export const GUARD_OPTIONS = ["directory", "data", "args", "mode", "maxMessageSize"] as const;
const MESSAGE_SIZE = { usual: 16 << 20, most: 1 << 30 };
const WAIT_OPTIONS = ["timeout", "signal", "ref"] as const;
/** ms between two looks at whether the guard's file is there still. */
const LOOK_INTERVAL = 1000;

/** As `tryAcquire`, without looking who holds it; for what else belongs to this package. */
export let tryHold: (name: string, options: GuardOptions) => SingleInstance | undefined;

/** Gives the attachment of a guard that is held; for what else belongs to this package. */
export let attachmentOf: (instance: SingleInstance, operation: string) => Attachment;

/**
 * To hold one is to be the only one of its name: among all processes of this user, in Deno, Bun, Node and C.
 *
 * Whether the holder lives is the kernel's word. However it ends, `kill -9` included, the next one can hold at once;
 * as long as it lives, stopped or not, nobody else can. A guard is held until {@linkcode SingleInstance.release}, the end
 * of a `using` block, or the end of the process; that the variable is gone releases nothing. Holding one does not keep
 * the process alive.
 *
 * @example Run once
 * ```ts
 * import { AlreadyRunningError, SingleInstance } from "qshm";
 *
 * using guard = await SingleInstance.acquire("class-guard-example");
 * console.assert(!guard.recovered); // true: the last holder crashed
 *
 * const second = await SingleInstance.acquire("class-guard-example").catch((error: Error) => error);
 * console.assert(second instanceof AlreadyRunningError && second.primary?.pid === process.pid);
 * ```
 */
export class SingleInstance implements Disposable, AsyncDisposable {
  /** Did the last holder end without releasing, by a crash or a kill? What it was doing may be half-done. */
  readonly recovered: boolean;
  readonly #name: string;
  readonly #attachment: Attachment;
  readonly #changes: Changes;
  readonly #largestMessage: number;
  #server: Server | undefined;
  #replaced: AbortController | undefined;
  #lost: AbortController | undefined;
  #nextLook: Timer | undefined;

  static {
    tryHold = (name: string, options: GuardOptions): SingleInstance | undefined => {
      const request = electionRequest(name, options);
      const elected = new Candidate(request).tryOnce();
      return elected && new SingleInstance(request, elected);
    };
    attachmentOf = (instance: SingleInstance, operation: string): Attachment => {
      instance.#attachment.handle(operation);
      return instance.#attachment;
    };
  }

  private constructor({ name, largestMessage }: ElectionRequest, { attachment, recovered }: Elected) {
    this.#name = name;
    this.#attachment = attachment;
    this.#changes = new Changes(attachment);
    this.#largestMessage = largestMessage;
    this.recovered = recovered;
  }

  /**
   * Holds the guard of a name, or rejects.
   *
   * @param name Any text without NUL.
   * @param options What others are told; `timeout`: how long to wait for it, default 0 ms; `Infinity` makes it a named
   * mutex. `signal` aborts a wait; `ref: false` lets the process end while it waits. `replace` takes it over: its holder is
   * asked to leave and has `grace` ms for it; with `kill` it then gets SIGTERM, and `grace` ms later SIGKILL, if it is
   * proved to be the holder, of this user and in this PID namespace.
   * @returns The guard.
   * @throws {AlreadyRunningError} Another process holds it, and did until time was up.
   * @throws {NotFoundError} With `kill`: the holder's process is gone, and one that it left behind holds the guard.
   * @throws {MessageTooLargeError} `data` does not fit.
   * @throws {PermissionDeniedError} The directory, or what stands at the name, is not safe to use.
   * @throws {OutOfResourcesError} There is no room for the guard's file.
   * @throws {BusyError} A stopped process is inside the name's internal lock; named by its pid.
   * @throws {TypeError} `data` is neither JSON nor bytes: says where.
   *
   * @example A named mutex
   * ```ts
   * import { SingleInstance } from "qshm";
   *
   * async function alone<T>(work: () => Promise<T>): Promise<T> {
   *   using _guard = await SingleInstance.acquire("acquire-example", { timeout: Infinity });
   *   return await work();
   * }
   * const order: string[] = [];
   * const task = async (name: string) => {
   *   order.push(`${name} begins`);
   *   await Promise.resolve();
   *   order.push(`${name} ends`);
   * };
   * await Promise.all([alone(() => task("a")), alone(() => task("b"))]);
   * console.assert(order[1]!.endsWith("ends") && order[3]!.endsWith("ends"));
   * ```
   */
  static acquire(name: string, options?: AcquireOptions): Promise<SingleInstance> {
    try {
      const { timeout = 0, signal, ref, replace, ...guard } = checkOptions(options, [...GUARD_OPTIONS, ...WAIT_OPTIONS, "replace"]);
      const wait = checkWait({ timeout, ...(signal !== undefined && { signal }), ...(ref !== undefined && { ref }) });
      const replacement = replace === undefined ? undefined : checkReplacement(replace);
      wait.signal?.throwIfAborted();
      const request = electionRequest(name, guard);
      const candidate = new Candidate(request);
      const hold = (elected: Elected): SingleInstance => new SingleInstance(request, elected);
      if (replacement !== undefined) return takeOver(candidate, replacement, wait).then(hold);
      if (wait.timeout > 0) return candidate.wait(wait).then(hold);
      const result = candidate.stand();
      if (result instanceof AlreadyRunningError) throw result;
      return Promise.resolve(hold(result));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * As {@linkcode SingleInstance.acquire} without waiting, but gives `undefined` where that rejects with
   * {@linkcode AlreadyRunningError}.
   *
   * @param name Any text without NUL.
   * @param options What others are told.
   * @returns The guard, or `undefined` if another process holds it.
   *
   * @example Usage
   * ```ts
   * import { SingleInstance } from "qshm";
   *
   * using first = SingleInstance.tryAcquire("try-acquire-example");
   * console.assert(first !== undefined && SingleInstance.tryAcquire("try-acquire-example") === undefined);
   * ```
   */
  static tryAcquire(name: string, options?: GuardOptions): SingleInstance | undefined {
    const request = electionRequest(name, checkOptions(options, GUARD_OPTIONS));
    const result = new Candidate(request).stand();
    return result instanceof AlreadyRunningError ? undefined : new SingleInstance(request, result);
  }

  /**
   * Finds the process that holds a guard.
   *
   * @param name The guard's name.
   * @param options `timeout`: how long to wait for one to run, default 0 ms.
   * @returns The running instance.
   * @throws {NotRunningError} Nobody holds it, or did until time was up.
   * @throws {IncompatibleError} Its holder is of another version of qshm.
   * @throws {BusyError} Its holder has been stopped in the midst of releasing it.
   *
   * @example Usage
   * ```ts
   * import { NotRunningError, SingleInstance } from "qshm";
   *
   * using _guard = await SingleInstance.acquire("connect-example", { data: { port: 8080 } });
   * using running = await SingleInstance.connect("connect-example");
   * console.assert(JSON.stringify(running.info.data) === '{"port":8080}');
   * const none = await SingleInstance.connect("connect-example-none").catch((error: Error) => error);
   * console.assert(none instanceof NotRunningError);
   * ```
   */
  static connect(name: string, options?: PlaceOptions & WaitOptions): Promise<RunningInstance> {
    try {
      const { directory, timeout = 0, signal, ref } = checkOptions(options, ["directory", ...WAIT_OPTIONS]);
      const wait = checkWait({ timeout, ...(signal !== undefined && { signal }), ...(ref !== undefined && { ref }) });
      wait.signal?.throwIfAborted();
      const key = encodeKey(name);
      const place = encodeDirectory(directory);
      return poll(wait, (last) => findRunning(name, directory, key, place, last));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Aborts when the guard's file is removed from outside: then others can no longer see this holder, and one of them may
   * hold the name beside it. Looked for once a second from the first use of this property on.
   *
   * That happens to files in `/dev/shm` when somebody deletes them, and, for ordinary users under systemd with
   * `RemoveIPC=yes`, at the user's last logout: daemons that outlive it set `directory`, or enable lingering.
   *
   * @example Stop when nothing guards any more
   * ```ts
   * import { SingleInstance } from "qshm";
   *
   * using guard = await SingleInstance.acquire("lost-example");
   * guard.lost.addEventListener("abort", () => console.error(guard.lost.reason.message));
   * console.assert(!guard.lost.aborted);
   * ```
   */
  get lost(): AbortSignal {
    if (this.#lost === undefined) {
      this.#lost = new AbortController();
      this.#look();
    }
    return this.#lost.signal;
  }

  /**
   * Aborts when somebody asks to take over (`replace`, or `qshm run --replace`): finish what is urgent, and release. That
   * the process can end does not depend on it.
   *
   * @example Leave when asked
   * ```ts
   * import { SingleInstance } from "qshm";
   *
   * const first = await SingleInstance.acquire("replaced-example");
   * first.replaced.addEventListener("abort", () => first.release());
   *
   * using second = await SingleInstance.acquire("replaced-example", { replace: { grace: 5000 } });
   * console.assert(first.replaced.aborted && !second.replaced.aborted);
   * ```
   */
  get replaced(): AbortSignal {
    if (this.#replaced === undefined) {
      const controller = this.#replaced = new AbortController();
      const look = (): true | undefined => {
        return takeovers().qshm_is_asked_to_leave(this.#attachment.handle("watch")) === 1 ? true : undefined;
      };
      const reason = new DOMException(`Another process wants to hold ${this.#attachment.subject}`, "AbortError");
      if (this.#attachment.isAttached && look()) {
        controller.abort(reason);
      } else if (this.#attachment.isAttached) {
        this.#changes.wait(look, { timeout: Infinity, signal: undefined, ref: false })
          .then(() => controller.abort(reason), () => {}); // released: nobody asks any more
      }
    }
    return this.#replaced.signal;
  }

  /**
   * Answers what other processes send with {@linkcode RunningInstance.send} and {@linkcode RunningInstance.forward}; what
   * came before waits until then. Up to 16 requests are handled at once, and each only once. What the handler returns is the
   * reply; what it throws, the sender gets as a `RequestFailedError`.
   *
   * When the guard is released, requests that wait are refused: their senders know that they were not handled.
   * {@linkcode SingleInstance.release} does not wait for handlers that run, and their senders learn that the outcome is
   * unknown; `await using` waits for them.
   *
   * @param handler What answers.
   * @param options `ref: false`: serving does not keep the process alive. Default: `true`.
   *
   * @example Do the work of later starts
   * ```ts
   * import { SingleInstance } from "qshm";
   *
   * await using guard = await SingleInstance.acquire("serve-example");
   * const opened: string[] = [];
   * guard.serve(({ kind, args }) => {
   *   if (kind !== "arguments") throw new TypeError("expected arguments");
   *   opened.push(...args);
   *   return { stdout: `opened ${args.length}\n` };
   * });
   *
   * using running = await SingleInstance.connect("serve-example");
   * const reply = await running.forward({ args: ["a.txt", "b.txt"], timeout: 5000 });
   * console.assert(reply.stdout === "opened 2\n" && opened[1] === "b.txt");
   * ```
   */
  serve(handler: RequestHandler, options?: { ref?: boolean }): void {
    if (typeof handler !== "function") throw new TypeError(`Handler must be a function: got ${describe(handler)}`);
    const ref = checkBoolean("Ref", checkOptions(options, ["ref"]).ref, true);
    this.#attachment.handle("serve");
    if (this.#server !== undefined) throw new TypeError(`Cannot serve ${this.#attachment.subject}: it is served already`);
    this.#server = new Server(this.#attachment, this.#changes, this.#largestMessage, handler, ref);
  }

  /**
   * Lets others hold it. Doing so again is nothing. Requests that wait are refused; `await using` also waits for handlers
   * that run.
   */
  release(): void {
    this.#server?.stop();
    this.#nextLook?.cancel();
    this.#changes.close();
    this.#attachment.detach();
  }

  /** Releases it. */
  [Symbol.dispose](): void {
    this.release();
  }

  /** Refuses further requests, waits for the handlers that run, and releases it. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#attachment.isAttached && this.#server !== undefined) {
      serverFunctions().qshm_refuse_messages(this.#attachment.handle("release"));
      await this.#server.drain();
    }
    this.release();
  }

  #look(): void {
    if (!this.#attachment.isAttached) return;
    if (guards().qshm_is_lost(this.#attachment.handle("watch")) === 1) {
      this.#lost!.abort(
        new QshmError(
          `Lost ${this.#attachment.subject}: its file was removed from outside, and another process may hold it now ` +
            `(${this.#attachment.path}); if that was at a logout, see RemoveIPC in logind.conf`,
          { code: "GuardLost", operation: "guard", key: this.#name },
        ),
      );
    } else {
      this.#nextLook = runtime().startTimer(() => this.#look(), LOOK_INTERVAL, false);
    }
  }
}

function electionRequest(
  name: string,
  { directory, data, args, mode, maxMessageSize = MESSAGE_SIZE.usual }: GuardOptions,
): ElectionRequest {
  encodeKey(name); // the name's errors come first
  return {
    name,
    directory,
    mode: checkMode(mode),
    info: encodeInfo(name, checkArgs(args), data),
    largestMessage: checkInteger("MaxMessageSize", maxMessageSize, 0, MESSAGE_SIZE.most) + ENVELOPE,
  };
}

/** One look. `undefined`: nobody, or nobody who says who it is; that is an error when time is up. */
function findRunning(
  name: string,
  directory: string | undefined,
  key: Uint8Array,
  place: Uint8Array,
  last: boolean,
): RunningInstance | undefined {
  const holder = findHolder("connect to", name, key, place);
  if (holder?.info !== undefined) return runningInstance(name, directory, holder.info);
  if (holder?.incompatible !== undefined) throw holder.incompatible;
  if (last) throw holder === undefined ? notRunning(name) : leaving(name, holder.pid);
  return undefined;
}

function leaving(name: string, pid: number | undefined): BusyError {
  const who = pid === undefined ? "a process" : `process ${pid}`;
  return new BusyError(
    `Cannot connect to instance ${JSON.stringify(name)}: ${who} holds it, and tells nothing that can be understood; ` +
      "it may have been stopped while releasing it",
    { code: "Busy", operation: "connect to", key: name, pid },
  );
}

function notRunning(name: string): NotRunningError {
  return new NotRunningError(`Cannot connect to instance ${JSON.stringify(name)}: nobody holds it`, {
    code: "NotRunning",
    operation: "connect to",
    key: name,
    delivered: "no",
  });
}
