/**
 * A process that starts a program over and over, of which one runs. What each start came to stands in a journal, which all
 * share, a line an event. This file is loaded by the test and, by its URL, by the peers.
 *
 *   start TOKEN        before runSingleInstance
 *   main TOKEN         it runs
 *   request TOKEN      the one that runs handles what TOKEN forwarded
 *   end TOKEN CODE     what runSingleInstance gave: a code, or an error's name
 */

import { closeSync, openSync, writeSync } from "node:fs";
import type { Api, State } from "../../support/peer.ts";
import { Random } from "../../support/random.ts";

/** What the program exits with: as the one that runs, and as one whose request was handled. */
export const CODES = { ran: 3, handled: 7 } as const;

export interface Order {
  readonly name: string;
  readonly journal: string;
  readonly seed: number;
  /** How often this one runs before it is done. */
  readonly reigns: number;
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function turns(count: number): Promise<void> {
  while (count-- > 0) await turn();
}

/** Starts the program until it has run as often as the order says, or another peer has, and all are told to end. */
export async function startOver(api: Api, state: State, { name, journal, seed, reigns }: Order): Promise<void> {
  const random = new Random(seed);
  const fd = openSync(journal, "a");
  const log = (line: string): void => void writeSync(fd, `${line}\n`);
  state.ends ??= false;
  for (let round = 0; reigns > 0 && !state.ends; round++) {
    const token = `${process.pid}-${round}`;
    const leave = Promise.withResolvers<void>();
    let requests = random.below(4);
    log(`start ${token}`);
    const code = await api.runSingleInstance(name, {
      args: [token],
      async main() {
        log(`main ${token}`);
        reigns--;
        const way = random.below(3); // at once; in a handler, or after a while if none comes; after a while
        if (way > 0) void turns(1 + random.below(200)).then(leave.resolve);
        if (way > 0) await leave.promise;
        return CODES.ran;
      },
      async onRequest({ args }) {
        log(`request ${args[0]}`);
        if (--requests === 0) leave.resolve();
        if (random.below(2) === 0) await turns(random.below(10));
        return { exitCode: CODES.handled };
      },
    }).catch((error: Error) => `${error.name}: ${error.message.replaceAll("\n", " ")}`);
    log(`end ${token} ${code}`);
    await turns(random.below(6));
  }
  closeSync(fd);
}

/** What is wrong with a journal, how often somebody ran, and how many requests were handled. */
export function judge(text: string): { violations: string[]; reigns: number; handled: number } {
  const violations: string[] = [];
  const events = new Map<string, string[]>();
  for (const line of text.split("\n").slice(0, -1)) {
    const [what, token, ...rest] = line.split(" ") as [string, string, ...string[]];
    if (what === "start") events.set(token, []);
    else events.get(token)!.push([what, ...rest].join(" "));
  }
  const stories = [`main, end ${CODES.ran}`, `request, end ${CODES.handled}`];
  const counts = [0, 0];
  for (const [token, all] of events) {
    const story = stories.indexOf(all.join(", "));
    if (story < 0) violations.push(`${token}: ${all.join(", ")}`);
    else counts[story]!++;
  }
  return { violations, reigns: counts[0]!, handled: counts[1]! };
}
