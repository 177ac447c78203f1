/**
 * A request of that many bytes to the instance that runs, and its reply, which is all but empty; on all processors.
 *
 * With several senders, each in a process of its own sends its next request when it has the reply to the last. The time is
 * that of one request of all together: its reciprocal is how many are answered in a second.
 */

import { mkdirSync } from "node:fs";
import { SingleInstance } from "../../../mod.ts";
import { type Clock, Host } from "../host.ts";
import { overSocket } from "../net.ts";
import { calibrate, emptySamples, type Runner, sample } from "../pairing.ts";
import { casesOf, type Mechanism, takeTurns } from "../pairs.ts";
import type { Group, Plan, Samples, SubjectName } from "../row.ts";

const SMALL = 64;
const LARGE = 1 << 20;

function bySend(size: number): Mechanism {
  const name = `send-${size}`;
  return {
    async ping() {
      const running = await SingleInstance.connect(name);
      const message = new Uint8Array(size).fill(7);
      return () => running.send(message);
    },
    async pong() {
      (await SingleInstance.acquire(name)).serve(({ data }) => {
        if (!(data instanceof Uint8Array && data.length === size)) throw new Error("not what was sent");
      });
    },
  };
}

/** See {@linkcode CaseFactory}. */
export const cases = casesOf(Object.assign(
  {},
  ...[SMALL, LARGE].map((size) => ({ [`send-${size}`]: bySend(size), [`net-${size}`]: overSocket(`net-${size}`, size) })),
));

const MOST_SENDERS = 8;
/** Of each sender's share in what all have done together. */
const LENGTHS = { warmUp: 100e6, batch: 10e6 } as const;

/** One process that answers, and those that send. Subjects are named `<senders>.<what>`. */
class Crowd implements Clock {
  readonly #first: Host;
  readonly #senders: readonly Host[];
  readonly #prepared = new Set<string>();

  constructor(plan: Plan) {
    this.#first = Host.inRuntime("request", plan);
    this.#senders = Array.from({ length: MOST_SENDERS }, () => Host.inRuntime("request", plan));
  }

  async time(subject: SubjectName, count: number): Promise<number> {
    const [senders, what] = subject.split(".");
    const each = (n: number) => this.#senders.slice(0, Number(senders)).map((host) => host.time(`ping.${what}.hot`, n));
    if (!this.#prepared.has(subject)) {
      this.#prepared.add(subject);
      await this.#first.time(`pong.${what}`, 0);
      await Promise.all(each(0));
    }
    return Math.max(...await Promise.all(each(count))) / Number(senders);
  }

  async end(): Promise<void> {
    await Promise.all([this.#first, ...this.#senders].map((host) => host.end()));
  }
}

async function measureCrowds(plan: Plan): Promise<Samples> {
  const samples = emptySamples(plan);
  for (let round = 0; round < plan.rounds; round++) {
    const directory = `${plan.directory}/${round}`;
    mkdirSync(directory, { mode: 0o700 });
    const crowd = new Crowd({ ...plan, directory });
    const runners: Runner[] = [];
    for (const name of plan.subjects) runners.push(await calibrate(name, crowd, LENGTHS));
    await sample(runners, Math.ceil(plan.batches / 2), samples);
    await crowd.end();
  }
  return samples;
}

const requests = [["64 B", SMALL, "hot"], ["64 B", SMALL, "sleeping"], ["1 MiB", LARGE, "hot"]] as const;

/** See {@linkcode Group}. */
export const requestGroup: Group = {
  name: "request and reply",
  rows: requests.map(([name, size, pace]) => ({
    name: `${name}, ${pace} / node:net, Unix socket`,
    ours: `js.send-${size}.${pace}`,
    rival: `js.net-${size}.${pace}`,
  })),
  measure: (plan) => takeTurns("request", plan),
};

/** See {@linkcode Group}. */
export const sendersGroup: Group = {
  name: "requests, without a break",
  rows: [1, MOST_SENDERS].map((senders) => ({
    name: `64 B, ${senders} ${senders === 1 ? "sender" : "senders"} / node:net, Unix socket`,
    ours: `${senders}.send-${SMALL}`,
    rival: `${senders}.net-${SMALL}`,
  })),
  measure: measureCrowds,
};
