/**
 * Four bytes to another process and back: with `waitForChange` and `notify`, with what users take today for it, and in C.
 *
 * On two processors nothing is pinned; the two processes run where the kernel puts them.
 */

import { Buffer } from "node:buffer";
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { once } from "node:events";
import process from "node:process";
import { SharedMemory } from "../../../mod.ts";
import { RUNTIMES } from "../../support/runtimes.ts";
import { overSocket } from "../net.ts";
import { casesOf, type Exchange, type Mechanism, takeTurns } from "../pairs.ts";
import { following } from "../revision.ts";
import type { Group, PerRuntime, Row, Target } from "../row.ts";

const SIZE = 4;

/** Two words in a segment: what is sent, and what is answered. */
function open(key: string): { memory: SharedMemory; words: Int32Array } {
  const memory = SharedMemory.open(key, 2 * SIZE);
  return { memory, words: new Int32Array(memory.data.buffer) };
}

const change: Mechanism = {
  ping() {
    const { memory, words } = open("change");
    let revision = memory.revision;
    return async () => {
      words[0]!++;
      memory.notify();
      revision = await memory.waitForChange(following(revision));
      if (words[1] !== words[0]) throw new Error("the answer is not there");
    };
  },
  pong() {
    const { memory, words } = open("change");
    let revision = memory.revision;
    return async () => {
      revision = following(await memory.waitForChange(revision));
      words[1] = words[0]!;
      memory.notify();
    };
  },
};

const changeSync: Mechanism = {
  ping() {
    const { memory, words } = open("change-sync");
    let revision = memory.revision;
    return () => {
      words[0]!++;
      memory.notify();
      revision = memory.waitForChangeSync(following(revision));
    };
  },
  pong() {
    const { memory, words } = open("change-sync");
    let revision = memory.revision;
    return () => {
      revision = following(memory.waitForChangeSync(revision));
      words[1] = words[0]!;
      memory.notify();
    };
  },
};

const ECHO = new URL("../echo_main.ts", import.meta.url).pathname;

/** A child of the first process, in the same runtime. */
const pipes: Mechanism = {
  async ping(): Promise<Exchange> {
    const flags = "Deno" in globalThis ? ["run", "--no-check", "--quiet", "-A"] : [];
    const child = spawn(process.execPath, [...flags, ECHO], { stdio: ["pipe", "pipe", "inherit"] });
    await once(child.stdout, "data"); // it is there
    let answered: () => void;
    child.stdout.on("data", () => answered());
    const message = Buffer.alloc(SIZE);
    return () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      answered = resolve;
      child.stdin.write(message);
      return promise;
    };
  },
  pong() {},
};

interface WebServers {
  readonly Deno?: {
    serve(options: { port: number; hostname: string; onListen(): void }, handler: () => Response): { addr: { port: number } };
  };
  readonly Bun?: { serve(options: { port: number; hostname: string; fetch: () => Response }): { port: number } };
}

/** Serves by the runtime's own server; gives the port. */
async function serve(): Promise<number> {
  const { Deno, Bun } = globalThis as WebServers;
  const answer = () => new Response("pong");
  const hostname = "127.0.0.1";
  if (Deno !== undefined) return Deno.serve({ port: 0, hostname, onListen: () => {} }, answer).addr.port;
  if (Bun !== undefined) return Bun.serve({ port: 0, hostname, fetch: answer }).port;
  const server = createServer((_request, response) => response.end("pong")).listen(0, hostname);
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

const portFile = () => `${process.env.QSHM_DIRECTORY}/http`;

/** `fetch`, which keeps its connection. */
const http: Mechanism = {
  ping() {
    const url = `http://127.0.0.1:${readFileSync(portFile(), "utf8")}/`;
    return async () => void await (await fetch(url)).arrayBuffer();
  },
  async pong() {
    writeFileSync(portFile(), `${await serve()}`);
  },
};

/** See {@linkcode CaseFactory}. */
export const cases = casesOf({ change, changeSync, net: overSocket("net", SIZE), pipes, http });

/** The targets of one place and pace. */
interface Targets {
  readonly net?: Target;
  readonly http?: Target;
  readonly epoll?: Target;
  readonly c?: Target;
}

/** Deno may be slower, so for all it is said as ours over the rival's. */
const ASLEEP: { readonly ratioAtMost: PerRuntime } = { ratioAtMost: { deno: 1.15, bun: 1 / 1.3, node: 1 / 1.3 } };

function rowsOf(pace: "hot" | "sleeping", targets: Targets): readonly Row[] {
  const ours = `js.change.${pace}`;
  const others = RUNTIMES.flatMap((partner): readonly Row[] => [
    {
      name: `${pace}, with ${partner} / node:net`,
      ours: `${partner}.change.${pace}`,
      rival: `${partner}.net.${pace}`,
      runtimes: RUNTIMES.filter((runtime) => runtime !== partner),
    },
  ]);
  return [
    { name: `${pace} / node:net, Unix socket`, ours, rival: `js.net.${pace}`, target: targets.net },
    { name: `${pace} / child's stdin and stdout`, ours, rival: `js.pipes.${pace}` },
    { name: `${pace} / HTTP over loopback`, ours, rival: `js.http.${pace}`, target: targets.http },
    { name: `${pace} / FIFOs and epoll in C`, ours, rival: `c.epoll.${pace}`, target: targets.epoll },
    ...others,
    { name: `${pace}, sync / library from C`, ours: `js.changeSync.${pace}`, rival: `c.library.${pace}`, target: targets.c },
  ];
}

/** See {@linkcode Group}. */
export const roundTripOnOneGroup: Group = {
  name: "round trip, one processor",
  rows: [
    ...rowsOf("hot", { c: { ratioAtMost: 1.5 } }),
    ...rowsOf("sleeping", { net: ASLEEP, epoll: { ratioAtMost: { deno: 5, bun: 2.2, node: 3.5 } }, c: { ratioAtMost: 1.5 } }),
  ],
  measure: (plan) => takeTurns("round_trip", plan, { isPinned: true }),
};

/** See {@linkcode Group}. */
export const roundTripOnTwoGroup: Group = {
  name: "round trip, two processors",
  rows: [
    ...rowsOf("hot", { net: { fasterBy: 10 }, http: { fasterBy: 50 }, c: { ratioAtMost: 2.5 } }),
    ...rowsOf("sleeping", {}),
  ],
  measure: (plan) => takeTurns("round_trip", plan),
};
