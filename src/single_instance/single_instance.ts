/**
 * The single-instance guard.
 *
 * @module
 */

import { runtime } from "../../ffi/load.ts";
import type { Timer } from "../../ffi/native.ts";
import type { Attachment } from "../attachment.ts";
import { AlreadyRunningError, BusyError, NotRunningError, QshmError } from "../errors.ts";
import type { PlaceOptions } from "../life.ts";
import { checkMode, checkOptions, encodeDirectory, encodeKey } from "../validate.ts";
import { checkWait, poll, type WaitOptions } from "../wait.ts";
import { Candidate, type Elected, type ElectionRequest } from "./election.ts";
import { checkArgs, encodeInfo, findHolder, guards } from "./info.ts";
import type { Payload } from "./payload.ts";
import { type RunningInstance, runningInstance } from "./running_instance.ts";

/** How to hold a guard. */
export interface GuardOptions extends PlaceOptions {
  /**
   * Whatever others are to know of this instance, such as the port it listens on. Together with `args` about 60 KiB.
   * Default: nothing.
   */
  data?: Payload;
  /** The arguments that others are told. Default: this program's own. Those that do not fit are cut. */
  args?: readonly string[];
  /** The mode of the guard's file, for a directory that a group shares: the owner's and the group's bits. Default: `0o600`. */
  mode?: number;
}

const GUARD_OPTIONS = ["directory", "data", "args", "mode"] as const;
const WAIT_OPTIONS = ["timeout", "signal", "ref"] as const;
/** ms between two looks at whether the guard's file is there still. */
const LOOK_INTERVAL = 1000;

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
  #lost: AbortController | undefined;
  #nextLook: Timer | undefined;

  static {
    attachmentOf = (instance: SingleInstance, operation: string): Attachment => {
      instance.#attachment.handle(operation);
      return instance.#attachment;
    };
  }

  private constructor(name: string, { attachment, recovered }: Elected) {
    this.#name = name;
    this.#attachment = attachment;
    this.recovered = recovered;
  }

  /**
   * Holds the guard of a name, or rejects.
   *
   * @param name Any text without NUL.
   * @param options What others are told; `timeout`: how long to wait for it, default 0 ms; `Infinity` makes it a named
   * mutex. `signal` aborts a wait; `ref: false` lets the process end while it waits.
   * @returns The guard.
   * @throws {AlreadyRunningError} Another process holds it, and did until time was up.
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
  static acquire(name: string, options?: GuardOptions & WaitOptions): Promise<SingleInstance> {
    try {
      const { timeout = 0, signal, ref, ...guard } = checkOptions(options, [...GUARD_OPTIONS, ...WAIT_OPTIONS]);
      const wait = checkWait({ timeout, ...(signal !== undefined && { signal }), ...(ref !== undefined && { ref }) });
      wait.signal?.throwIfAborted();
      const candidate = new Candidate(electionRequest(name, guard));
      if (wait.timeout > 0) return candidate.wait(wait).then((elected) => new SingleInstance(name, elected));
      const result = candidate.stand();
      if (result instanceof AlreadyRunningError) throw result;
      return Promise.resolve(new SingleInstance(name, result));
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
    const result = new Candidate(electionRequest(name, checkOptions(options, GUARD_OPTIONS))).stand();
    return result instanceof AlreadyRunningError ? undefined : new SingleInstance(name, result);
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
      return poll(wait, (last) => findRunning(name, key, place, last));
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

  /** Lets others hold it. Doing so again is nothing. */
  release(): void {
    this.#nextLook?.cancel();
    this.#attachment.detach();
  }

  /** Releases it. */
  [Symbol.dispose](): void {
    this.release();
  }

  /** Releases it. */
  [Symbol.asyncDispose](): Promise<void> {
    this.release();
    return Promise.resolve();
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

function electionRequest(name: string, { directory, data, args, mode }: GuardOptions): ElectionRequest {
  encodeKey(name); // the name's errors come first
  return { name, directory, mode: checkMode(mode), info: encodeInfo(name, checkArgs(args), data) };
}

/** One look. `undefined`: nobody, or nobody who says who it is; that is an error when time is up. */
function findRunning(name: string, key: Uint8Array, place: Uint8Array, last: boolean): RunningInstance | undefined {
  const holder = findHolder("connect to", name, key, place);
  if (holder?.info !== undefined) return runningInstance(holder.info);
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
  });
}
