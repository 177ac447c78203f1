/**
 * Two processes that pass something to and fro, or one to the other. Subjects are named `<partner>.<what>.<pace>`:
 *
 *   partner  `js`: both are of the runtime under test; `c`: both are in C; a runtime's name: the other one is in that
 *   what     how it is passed
 *   pace     `hot`: one after the other without a break; `sleeping`: each after a pause in which both processes fall asleep
 */

import { mkdirSync } from "node:fs";
import { RUNTIMES, type RuntimeName } from "../support/runtimes.ts";
import { type Clock, Host } from "./host.ts";
import { calibrate, emptySamples, type Runner, sample } from "./pairing.ts";
import type { CaseFactory, Plan, Samples, SubjectName } from "./row.ts";

/** ms: longer than a waiting task looks for changes before it sleeps. */
const PAUSE = 2;
/** For the runtimes' compilers to finish. */
const WARM_UP_NS = 100e6;
/** Longer than in one process: it begins when both have been told to. */
const BATCH_NS = 5e6;
/** Sleeping, of which the first few cost what the first few always cost. */
const SLEEPS_AHEAD = 3;

/** Passes something once: there and back, as the first process sees it; or takes it and answers, as the second does. */
export type Exchange = () => void | Promise<unknown>;

/** One way of passing something. */
export interface Mechanism {
  /** Prepares the process that starts. The other one is prepared already. */
  ping(): Exchange | Promise<Exchange>;
  /** Prepares the process that answers; nothing, if it does so by itself. */
  pong(): Exchange | void | Promise<Exchange | void>;
}

const pause = () => new Promise((resolve) => setTimeout(resolve, PAUSE));

async function measure(exchange: Exchange, count: number, sleeps: boolean): Promise<number> {
  await exchange(); // until the other one has begun
  let elapsed = 0;
  let start = performance.now();
  for (let i = 0; i < count; i++) {
    if (sleeps) {
      await pause();
      start = performance.now();
    }
    const pending = exchange();
    if (pending !== undefined) await pending;
    if (sleeps) elapsed += performance.now() - start;
  }
  return (sleeps ? elapsed : performance.now() - start) * 1e6;
}

/** The cases of both processes. */
export function casesOf(mechanisms: Readonly<Record<string, Mechanism>>): Readonly<Record<string, CaseFactory>> {
  const cases: Record<string, CaseFactory> = {};
  for (const [what, { ping, pong }] of Object.entries(mechanisms)) {
    let pinging: Exchange | Promise<Exchange> | undefined;
    for (const pace of ["hot", "sleeping"]) {
      cases[`ping.${what}.${pace}`] = async () => {
        const exchange = await (pinging ??= ping());
        return (count) => measure(exchange, count, pace === "sleeping");
      };
    }
    cases[`pong.${what}`] = async () => {
      const exchange = await pong();
      return async (count) => {
        for (let i = 0; exchange !== undefined && i < count + 1; i++) {
          const pending = exchange();
          if (pending !== undefined) await pending;
        }
      };
    };
  }
  return cases;
}

/** What the two processes of a pair do. */
interface Roles {
  /** The one that takes the time. */
  readonly timed: string;
  /** The other one, which is prepared first. */
  readonly other: string;
}

/** Two processes, and a directory of their own. */
class Pair implements Clock {
  readonly #timed: Host;
  readonly #other: Host;
  readonly #roles: Roles;
  readonly #prepared = new Set<string>();

  constructor(timed: Host, other: Host, roles: Roles) {
    this.#timed = timed;
    this.#other = other;
    this.#roles = roles;
  }

  async time(subject: SubjectName, count: number): Promise<number> {
    const [, what, pace] = subject.split(".");
    const timed = `${this.#roles.timed}.${what}.${pace}`;
    const other = `${this.#roles.other}.${what}`;
    if (!this.#prepared.has(what!)) {
      this.#prepared.add(what!);
      await this.#other.time(other, 0);
      await this.#timed.time(timed, 0);
    }
    const [elapsed] = await Promise.all([this.#timed.time(timed, count), this.#other.time(other, count)]);
    return elapsed;
  }

  async end(): Promise<void> {
    await Promise.all([this.#timed.end(), this.#other.end()]);
  }
}

/** How pairs are made. */
export interface PairOptions {
  /** Both on one processor. Default: they may use all. */
  readonly isPinned?: boolean;
  /** Default: one pings, the other answers. */
  readonly roles?: Roles;
  /** Is the one that does not take the time always in C? */
  readonly isOtherInC?: boolean;
}

/** Starts a pair; `name` is the partner. */
function start(group: string, name: string, plan: Plan, options: PairOptions): Pair {
  const { isPinned = false, isOtherInC = name === "c", roles = { timed: "ping", other: "pong" } } = options;
  const own = { ...plan, directory: `${plan.directory}/${name}` };
  const partner = RUNTIMES.includes(name as RuntimeName) ? { ...own, runtime: name as RuntimeName } : own;
  mkdirSync(own.directory, { recursive: true, mode: 0o700 });
  const timed = name === "c" ? Host.inC(own, [], { isPinned }) : Host.inRuntime(group, own, { isPinned });
  const other = isOtherInC ? Host.inC(own, [], { isPinned }) : Host.inRuntime(group, partner, { isPinned });
  return new Pair(timed, other, roles);
}

/** Prepares a subject of a pair. A sample of a sleeping one is a single exchange. */
async function prepare(name: SubjectName, clock: Clock): Promise<Runner> {
  if (name.endsWith(".hot")) return calibrate(name, clock, { warmUp: WARM_UP_NS, batch: BATCH_NS });
  await clock.time(name, SLEEPS_AHEAD);
  return { name, clock, count: 1 };
}

/** Measures subjects by pairs; those of one partner share a pair. Every round has fresh processes, and half the batches. */
export async function takeTurns(group: string, plan: Plan, options: PairOptions = {}): Promise<Samples> {
  const samples = emptySamples(plan);
  for (let round = 0; round < plan.rounds; round++) {
    const pairs = new Map<string, Pair>();
    const place = { ...plan, directory: `${plan.directory}/${round}` };
    const runners: Runner[] = [];
    for (const name of plan.subjects.toSorted()) { // a mechanism's hot subject is first, and warms up the sleeping one
      const partner = name.slice(0, name.indexOf("."));
      const pair = pairs.get(partner) ?? start(group, partner, place, options);
      pairs.set(partner, pair);
      runners.push(await prepare(name, pair));
    }
    await sample(runners, Math.ceil(plan.batches / 2), samples);
    await Promise.all([...pairs.values()].map((pair) => pair.end()));
  }
  return samples;
}
