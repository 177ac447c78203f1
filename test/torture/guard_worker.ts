/**
 * One of the processes that hold, try, and wait for the same guard until they are killed, or that look who holds it, in
 * any runtime. Arguments: `contend` or `observe`, the journal's path, and a seed.
 *
 * What it does it writes to the journal, which all share, a line an event, at once; see guard_journal.ts. On stdout a
 * contender says `up` when it begins, and, now and then, that it holds; the answer to that is a line, `q` means: leave.
 * This I/O is blocking, so that a process is where it says it is. An observer leaves when its input ends.
 */

import { openSync, readSync, writeSync } from "node:fs";
import { AlreadyRunningError, BusyError, type InstanceInfo, NotRunningError, SingleInstance } from "../../mod.ts";
import { Random } from "../support/random.ts";
import { dataOf, tokenOf } from "./guard_journal.ts";

const [, , role, path, seed] = process.argv as [string, string, string, string, string];
const random = new Random(Number(seed));
const journal = openSync(path, "a");
const answer = new Uint8Array(16);
const NAME = "torture";

const log = (line: string): void => void writeSync(journal, `${line} ${process.pid}\n`);
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** What was seen of a holder: its token, and the pid that goes with it. */
function seen({ data, pid, args }: InstanceInfo): string {
  const token = tokenOf(data);
  return `${args[0] === token ? token : "torn"} ${pid ?? "unseen"}`;
}

function read(): number {
  for (;;) {
    try {
      return readSync(0, answer, 0, answer.length, null);
    } catch (error) {
      if ((error as { code?: string }).code !== "EAGAIN") throw error;
    }
  }
}

/** Says a line and waits for the answer. False: it is time to leave. */
function ask(line: string): boolean {
  writeSync(1, `${line}\n`);
  return read() > 0 && answer[0] !== "q".charCodeAt(0);
}

/** One of the ways to ask for it. */
async function acquire(token: string): Promise<SingleInstance | undefined> {
  const options = { data: dataOf(token, random.below(4) === 0 ? random.below(20_000) : 0), args: [token] };
  const way = random.below(5);
  try {
    if (way === 0) return SingleInstance.tryAcquire(NAME, options);
    if (way === 1) return await SingleInstance.acquire(NAME, options);
    if (way === 2) return await SingleInstance.acquire(NAME, { ...options, timeout: 1 + random.below(30) });
    if (way === 3) return await SingleInstance.acquire(NAME, { ...options, timeout: Infinity });
    const controller = new AbortController();
    const waiting = SingleInstance.acquire(NAME, { ...options, timeout: Infinity, signal: controller.signal });
    for (let turns = random.below(200); turns > 0; turns--) await turn();
    controller.abort();
    return await waiting;
  } catch (error) {
    if (error instanceof AlreadyRunningError) {
      if (error.primary !== undefined) log(`saw ${token} ${seen(error.primary)}`);
      return undefined;
    }
    if ((error as Error).name === "AbortError") return undefined;
    throw error;
  }
}

async function contend(): Promise<void> {
  writeSync(1, "up\n");
  for (let round = 0, goOn = true; goOn; round++) {
    const token = `${process.pid}-${round}`;
    log(`ask ${token}`);
    const guard = await acquire(token);
    if (guard === undefined) {
      log(`refused ${token}`);
      await turn();
      continue;
    }
    log(`hold ${token} ${guard.recovered}`);
    for (let turns = random.below(8); turns > 0; turns--) await turn();
    if (random.below(3) > 0) goOn = ask(token);
    log(`release ${token}`);
    guard.release();
    log(`released ${token}`);
    for (let turns = random.below(8); turns > 0; turns--) await turn();
  }
}

async function observe(): Promise<void> {
  let goOn = true;
  process.stdin.on("end", () => goOn = false).resume();
  for (let look = 0; goOn; look++) {
    const token = `${process.pid}-${look}`;
    log(`look ${token}`);
    try {
      const timeout = random.below(4) === 0 ? 20 : 0;
      using running = await SingleInstance.connect(NAME, { timeout });
      log(`saw ${token} ${seen(running.info)}`);
    } catch (error) {
      if (!(error instanceof NotRunningError || error instanceof BusyError)) throw error;
      log(`${error instanceof BusyError ? "leaving" : "nobody"} ${token}`);
    }
    await turn();
  }
}

try {
  await (role === "observe" ? observe() : contend());
} catch (error) {
  ask(`v ${error instanceof Error ? error.stack?.replaceAll("\n", " | ") : error}`);
}
