/** Drives a process of `peer_main.ts` from a test. */

import type * as qshm from "../../mod.ts";
import { PeerProcess } from "./peer_process.ts";
import { type Command, commandOf, type RuntimeName, TEST_LIBRARY } from "./runtimes.ts";

export { PeerError } from "./peer_process.ts";

export type Api = typeof qshm;
// deno-lint-ignore no-explicit-any -- a test's own variables, of whatever type
export type State = Record<string, any>;

export interface PeerOptions {
  /** QSHM_DIRECTORY of the process. */
  readonly directory: string;
  /** Load the library whose steps can be armed. */
  readonly faults?: boolean;
  readonly env?: Readonly<Record<string, string>>;
  /** Run as this user and group; for root only. */
  readonly uid?: number;
  readonly gid?: number;
  /** A command that starts it as its last arguments say, as `unshare` does. */
  readonly within?: readonly string[];
  /** The runtime's program, if it is not the one that is installed. */
  readonly binary?: string;
}

/** The command that runs a peer, in another command or not. */
function peerCommand(runtime: RuntimeName, { within: [outer, ...before] = [], binary }: PeerOptions): Command {
  const installed = commandOf(runtime, new URL("./peer_main.ts", import.meta.url).pathname);
  const inner = { ...installed, command: binary ?? installed.command };
  return outer === undefined ? inner : { command: outer, args: [...before, inner.command, ...inner.args] };
}

export class Peer extends PeerProcess {
  readonly runtime: RuntimeName;

  private constructor(runtime: RuntimeName, options: PeerOptions) {
    super(runtime, peerCommand(runtime, options), {
      env: {
        ...process.env,
        QSHM_DIRECTORY: options.directory,
        ...(options.faults ? { QSHM_LIBRARY: TEST_LIBRARY } : {}),
        ...options.env,
      },
      ...(options.uid === undefined ? {} : { uid: options.uid }),
      ...(options.gid === undefined ? {} : { gid: options.gid }),
    });
    this.runtime = runtime;
  }

  /** Starts a process and waits until it listens. */
  static async start(runtime: RuntimeName, options: PeerOptions): Promise<Peer> {
    const peer = new Peer(runtime, options);
    await peer.listening();
    return peer;
  }

  /** Runs a function there. It must not use anything from outside: only its source is sent. */
  run<A, R>(f: (api: Api, state: State, argument: A) => R | Promise<R>, argument?: A): Promise<R> {
    // vitest gives its own name to dynamic imports, and tsx names functions; neither helper exists there.
    const text = f.toString().replaceAll("__vite_ssr_dynamic_import__", "import");
    const source = text.includes("__name(") ? `((__name) => (${text}))((named) => named)` : text;
    return this.order({ source, argument }) as Promise<R>;
  }

  /** Runs an exported function of a module there, with the same three arguments. */
  call<R>(module: string, name: string, argument?: unknown): Promise<R> {
    return this.run(async (api, state, { module, name, argument }) => {
      return (await import(module))[name](api, state, argument);
    }, { module, name, argument });
  }
}
