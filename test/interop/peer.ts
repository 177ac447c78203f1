/** Drives a peer of any kind: a C++ program of Qt 5 or Qt 6, or `qshm/qt` in a runtime. A test is the same over all. */

import { PeerProcess } from "../support/peer_process.ts";
import { isQt, type QtName, qtPeer, QTS } from "../support/qt.ts";
import { commandOf, type RuntimeName, RUNTIMES } from "../support/runtimes.ts";
import { SKIPS } from "../support/skips.ts";

export type PeerName = QtName | RuntimeName;

export const OURS: readonly RuntimeName[] = RUNTIMES;
export const ALL: readonly PeerName[] = [...OURS, ...QTS];

/** Why a test of these peers is skipped, if it is. */
export function skipOf(...names: readonly PeerName[]): string | undefined {
  return names.map((name) => isQt(name) ? SKIPS[name] : undefined).find((skip) => skip !== undefined);
}

/** Each peer with each other, in both orders. */
export const PAIRS: readonly (readonly [PeerName, PeerName])[] = ALL.flatMap((a) =>
  ALL.filter((b) => b !== a).map((b) => [a, b] as const)
);

/** The pairs of a Qt peer and one of ours, in both orders. */
export const MIXED_PAIRS: typeof PAIRS = PAIRS.filter(([a, b]) => isQt(a) !== isQt(b));

/** QSharedMemory over there: Qt's members, and what the tests add. Bytes are in hex. */
export interface Memory {
  setKey(key: string): null;
  setNativeKey(nativeKey: string): null;
  key(): string;
  nativeKey(): string;
  create(size: number, mode?: number): boolean;
  attach(mode?: number): boolean;
  isAttached(): boolean;
  detach(): boolean;
  size(): number;
  lock(): boolean;
  unlock(): boolean;
  error(): number;
  errorString(): string;
  hasData(): boolean;
  read(offset: number, length: number): string;
  write(offset: number, hex: string): null;
  /** A QString at the beginning, in a version of QDataStream. */
  readString(version: number): string | null;
  writeString(version: number, text: string | null): boolean;
  /** Adds 1 to the 32-bit word at 0 under the lock, so many times; gives how many times it could. */
  count(times: number): number;
  /** Runs the destructor. */
  delete(): null;
}

/** What ours has beyond Qt. */
export interface OwnMemory extends Memory {
  nativeIpcKey(): string;
  tryLock(): boolean;
  forceUnlock(): boolean;
  recovered(): boolean;
}

/** QSystemSemaphore over there. */
export interface Semaphore {
  setKey(key: string, initial?: number, mode?: number): null;
  key(): string;
  acquire(): boolean;
  release(n?: number): boolean;
  error(): number;
  errorString(): string;
  delete(): null;
}

/** What ours has beyond Qt before 6.6. */
export interface OwnSemaphore extends Semaphore {
  setNativeKey(key: string, initial?: number, mode?: number): null;
  nativeIpcKey(): string;
  tryAcquire(): boolean;
  value(): number;
}

/** The same methods, with the answers of another process. */
export type Remote<T> = {
  readonly [K in keyof T]: T[K] extends (...args: infer A) => infer R ? (...args: A) => Promise<R> : never;
};

export class QtPeer extends PeerProcess {
  readonly name: PeerName;

  private constructor(name: PeerName, env: NodeJS.ProcessEnv, prefix: readonly string[]) {
    const { command, args } = isQt(name)
      ? { command: qtPeer(name), args: [] }
      : commandOf(name, new URL("./peer_main.ts", import.meta.url).pathname);
    const [first, ...rest] = [...prefix, command, ...args];
    super(name, { command: first!, args: rest }, { env: { ...process.env, ...env } });
    this.name = name;
  }

  /** Starts one with this added to the environment, and waits until it listens. A prefix is a program that becomes it. */
  static async start(name: PeerName, env: NodeJS.ProcessEnv, prefix: readonly string[] = []): Promise<QtPeer> {
    const peer = new QtPeer(name, env, prefix);
    await peer.listening();
    return peer;
  }

  memory(key?: string): Promise<Remote<Memory>> {
    return this.#make("new QSharedMemory", key ?? null);
  }

  semaphore(key: string, initial?: number, mode?: number): Promise<Remote<Semaphore>> {
    return this.#make("new QSystemSemaphore", key, initial, mode);
  }

  /** Memory of a peer of ours. */
  ownMemory(key?: string): Promise<Remote<OwnMemory>> {
    return this.#make("new QSharedMemory", key ?? null);
  }

  /** A semaphore of a peer of ours. */
  ownSemaphore(key: string, initial?: number, mode?: number): Promise<Remote<OwnSemaphore>> {
    return this.#make("new QSystemSemaphore", key, initial, mode);
  }

  /** `QSharedMemory.remove`, in a peer of ours. */
  remove(key: string, force = false): Promise<unknown> {
    return this.#call(0, "remove", key, force);
  }

  /** Ends it from within; objects are destroyed by "exit" in C++. */
  async leave(how: "exit" | "_exit" | "abort", code = 0): Promise<number | string> {
    this.#call(0, how, code).catch(() => {});
    return await this.exited();
  }

  #call(object: number, method: string, ...args: readonly unknown[]): Promise<unknown> {
    return this.order({ object, method, arguments: args.filter((argument) => argument !== undefined) });
  }

  async #make<T>(method: string, ...args: readonly unknown[]): Promise<Remote<T>> {
    const object = await this.#call(0, method, ...args) as number;
    return new Proxy({} as Remote<T>, {
      get: (_, name: string) => name === "then" ? undefined : (...args: unknown[]) => this.#call(object, name, ...args),
    });
  }
}
