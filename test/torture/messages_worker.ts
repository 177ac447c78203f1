/**
 * One of the processes that hold a guard and answer, or that send to whoever holds it, in any runtime. Arguments: `serve`
 * or `send`, the journal's path, and a seed.
 *
 * What it does it writes to the journal, which all share, a line an event, at once; see messages.ts. On stdout a server
 * says `holds` and `left`, a sender a line for each request whose outcome it knows. Both leave when their input ends.
 */

import { openSync, writeSync } from "node:fs";
import {
  AlreadyRunningError,
  type InstanceReply,
  type InstanceRequest,
  type Json,
  NotRunningError,
  RequestFailedError,
  type RunningInstance,
  SingleInstance,
} from "../../mod.ts";
import { Random } from "../support/random.ts";

const [, , role, path, seed] = process.argv as [string, string, string, string, string];
const random = new Random(Number(seed));
const journal = openSync(path, "a");
const NAME = "torture";
/** Requests under way at once from one process. */
const SENDERS = 4;
/** ms that no request waits, and no search, unless somebody waits for ever. */
const LONG = 300_000;

let goOn = true;
const leave = new AbortController();
process.stdin.on("end", () => {
  goOn = false;
  leave.abort();
}).resume();

const log = (line: string): void => void writeSync(journal, `${line}\n`);
const say = (line: string): void => void writeSync(1, `${line}\n`);
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const nameOf = (number: string): string => `Error of ${number}`;

async function turns(count: number): Promise<void> {
  while (count-- > 0) await turn();
}

/** One who holds the guard: `pid-round`. */
async function reign(token: string, guard: SingleInstance): Promise<void> {
  const left = Promise.withResolvers<void>();
  let requests = 1 + random.below(60);
  const handle = async ({ data }: InstanceRequest): Promise<InstanceReply> => {
    const { number, padding } = data as { number: string; padding: string };
    log(`begin ${number} ${token}`);
    if (--requests === 0) left.resolve();
    if (random.below(3) > 0) await turns(random.below(20));
    log(`end ${number} ${token}`);
    if (random.below(5) === 0) throw Object.assign(new Error(`message of ${number}`), { name: nameOf(number) });
    return { data: { number, padding: padding.length }, exitCode: requests & 255 };
  };
  guard.replaced.addEventListener("abort", () => left.resolve());
  leave.signal.addEventListener("abort", () => left.resolve());
  if (random.below(3) === 0) await turns(random.below(30)); // requests wait
  guard.serve(handle);
  if (!goOn) left.resolve();
  await left.promise;
  const drains = random.below(2) === 0;
  log(`leave ${token} ${drains ? "drains" : "releases"}`);
  if (drains) await guard[Symbol.asyncDispose]();
  else guard.release();
  log(`left ${token}`);
}

async function serve(): Promise<void> {
  for (let round = 0; goOn; round++) {
    const token = `${process.pid}-${round}`;
    const replace = random.below(4) === 0 ? { grace: 1 + random.below(50) } : undefined;
    try {
      const timeout = replace === undefined ? LONG : 0;
      const guard = await SingleInstance.acquire(NAME, { timeout, signal: leave.signal, ...(replace && { replace }) });
      say("holds");
      log(`hold ${token}`);
      await reign(token, guard);
      say("left");
    } catch (error) {
      if (!(error instanceof AlreadyRunningError || (error as Error).name === "AbortError")) throw error;
    }
    await turns(random.below(8));
  }
}

/** Sends one, and gives what became of it. */
async function request(running: RunningInstance, number: string): Promise<string> {
  const padding = "x".repeat(random.below(8) === 0 ? random.below(100_000) : random.below(100));
  const way = random.below(8);
  const controller = new AbortController();
  const timeout = way === 0 ? random.below(20) : LONG;
  try {
    const reply = running.send({ number, padding }, { timeout, ...(way === 1 && { signal: controller.signal }) });
    if (way === 1) void turns(random.below(40)).then(() => controller.abort());
    const { data } = await reply;
    const { number: answered, padding: size } = data as { [key: string]: Json };
    return answered === number && size === padding.length ? "answered" : `false-reply-${answered}`;
  } catch (error) {
    if (error instanceof RequestFailedError) {
      const { handlerName, handlerMessage } = error;
      const isTrue = handlerName === nameOf(number) && handlerMessage === `message of ${number}`;
      return isTrue ? "failed" : `false-failure-${handlerName}-${handlerMessage}`.replaceAll(" ", "_");
    }
    if (error instanceof NotRunningError) return `${error.delivered}`;
    const { name, delivered } = error as Error & { delivered?: string };
    if (name === "TimeoutError" && timeout < LONG && delivered !== undefined) return `timeout-${delivered}`;
    if (name === "AbortError" && way === 1) return "aborted";
    throw error;
  }
}

async function send(lane: number): Promise<void> {
  let running: RunningInstance | undefined;
  for (let i = 0; goOn; i++) {
    try {
      running ??= await SingleInstance.connect(NAME, { timeout: LONG, signal: leave.signal });
    } catch (error) {
      if ((error as Error).name === "AbortError") break;
      throw error;
    }
    const number = `${process.pid}-${lane}-${i}`;
    log(`ask ${number}`);
    const outcome = await request(running, number);
    log(`${outcome} ${number}`);
    say(outcome);
    if (random.below(4) === 0 || outcome === "no") {
      running.close();
      running = undefined;
    }
    await turns(random.below(4));
  }
  running?.close();
}

try {
  if (role === "serve") await serve();
  else await Promise.all(Array.from({ length: SENDERS }, (_, lane) => send(lane)));
  process.exit(0);
} catch (error) {
  say(`v ${error instanceof Error ? error.stack?.replaceAll("\n", " | ") : error}`);
  process.exit(1);
}
