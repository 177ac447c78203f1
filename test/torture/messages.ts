/**
 * Message torture: processes of all runtimes hold a guard, answer, release it, are replaced, and are killed with SIGKILL,
 * while others send them numbered requests, and are killed as well. What each did stands in a journal; from that it is
 * found whether every sender was told the truth, and whether any request was handled twice.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { createInterface } from "node:readline";
import type { Random } from "../support/random.ts";
import { commandOf, type RuntimeName, RUNTIMES } from "../support/runtimes.ts";

const SERVERS = 3;
/** Processes; each has four requests under way. */
const SENDERS = 5;
const WORKER = new URL("./messages_worker.ts", import.meta.url).pathname;

export interface MessageTortureOptions {
  readonly directory: string;
  /** Outcomes to wait for. */
  readonly requests: number;
  readonly random: Random;
  readonly progress?: (requests: number) => void;
}

export interface Verdict {
  readonly violations: readonly string[];
  /** Requests by what their senders were told. */
  readonly outcomes: Readonly<Record<string, number>>;
  /** How many held the guard. */
  readonly holders: number;
}

export interface MessageTortureResult extends Verdict {
  /** Kills by role and runtime. */
  readonly killed: Readonly<Record<string, number>>;
}

/** What is known of one request. */
interface Sent {
  outcome: string | undefined;
  /** Who began to handle it. */
  readonly begun: string[];
  ended: boolean;
}

/** Reads a journal, and judges. `killed`: the pids of those that were. */
export function judge(text: string, killed: ReadonlySet<number>): Verdict {
  const violations: string[] = [];
  const requests = new Map<string, Sent>();
  const drains = new Set<string>();
  const outcomes: Record<string, number> = {};
  let holders = 0;
  for (const line of text.split("\n").slice(0, -1)) {
    const [what, number, token] = line.split(" ") as [string, string, string];
    const request = requests.get(number);
    if (what === "hold") holders++;
    else if (what === "leave") void (token === "drains" && drains.add(number));
    else if (what === "ask") requests.set(number, { outcome: undefined, begun: [], ended: false });
    else if (what === "begin") request!.begun.push(token);
    else if (what === "end") request!.ended = true;
    else if (what !== "left") {
      request!.outcome = what;
      outcomes[what] = (outcomes[what] ?? 0) + 1;
    }
  }
  const wasKilled = (token: string): boolean => killed.has(Number(token.split("-")[0]));
  for (const [number, { outcome, begun, ended }] of requests) {
    const where = `${number}, ${outcome}, begun by ${begun.join(" and ") || "nobody"}`;
    if (begun.length > 1) violations.push(`handled twice: ${where}`);
    switch (outcome) {
      case "answered":
      case "failed":
        if (begun.length === 0 || !ended) violations.push(`answered, and not handled: ${where}`);
        break;
      case "no":
      case "timeout-no":
        if (begun.length > 0) violations.push(`handled, and told that it was not: ${where}`);
        break;
      case "unknown": // also of one that was taken, and its handler never called
        if (begun.some((token) => drains.has(token) && !wasKilled(token))) {
          violations.push(`lost by one that waited for its handlers: ${where}`);
        }
        break;
      case "timeout-unknown":
      case "aborted":
        break;
      case undefined:
        if (!wasKilled(number)) violations.push(`never told: ${where}`);
        break;
      default:
        violations.push(`false: ${where}`);
    }
  }
  return { violations, outcomes, holders };
}

type Role = "serve" | "send";

class Worker {
  readonly role: Role;
  readonly runtime: RuntimeName;
  readonly child: ChildProcess;
  readonly exited: Promise<unknown>;
  holds = false;
  isUp = false;
  killed = false;
  #stderr = "";

  constructor(
    role: Role,
    runtime: RuntimeName,
    directory: string,
    args: readonly string[],
    onLine: (worker: Worker, line: string) => void,
  ) {
    this.role = role;
    this.runtime = runtime;
    const command = commandOf(runtime, WORKER, [role, ...args]);
    this.child = spawn(command.command, command.args, { env: { ...process.env, QSHM_DIRECTORY: directory } });
    this.child.stdin!.on("error", () => {}); // it was killed
    this.child.stderr!.on("data", (text) => this.#stderr += text);
    this.exited = once(this.child, "close");
    createInterface({ input: this.child.stdout! }).on("line", (line) => onLine(this, line));
  }

  /** Why it ended, if not by our hand. */
  get failure(): string | undefined {
    const { exitCode, signalCode } = this.child;
    if (this.killed || exitCode === 0) return undefined;
    return `${this.role} in ${this.runtime} ended with ${signalCode ?? exitCode}: ${this.#stderr}`;
  }
}

class Torture {
  readonly violations: string[] = [];
  readonly killed: Record<string, number> = {};
  readonly pids = new Set<number>();
  readonly #options: MessageTortureOptions;
  readonly #path: string;
  readonly #workers: Readonly<Record<Role, Set<Worker>>> = { serve: new Set(), send: new Set() };
  #done = 0;
  #untilKill = 1;

  constructor(options: MessageTortureOptions, place: string) {
    this.#options = options;
    this.#path = `${place}/journal`;
    closeSync(openSync(this.#path, "a"));
  }

  #start(role: Role, runtime: RuntimeName): void {
    const { directory, random } = this.#options;
    const args = [this.#path, String(random.below(0x7fffffff))];
    const worker = new Worker(role, runtime, directory, args, (worker, line) => this.#onLine(worker, line));
    this.#workers[role].add(worker);
    void worker.exited.then(() => {
      if (worker.failure !== undefined) this.violations.push(worker.failure);
      this.#workers[role].delete(worker);
    });
  }

  get #goesOn(): boolean {
    return this.#done < this.#options.requests && this.violations.length === 0;
  }

  #onLine(worker: Worker, line: string): void {
    const { progress, random } = this.#options;
    worker.isUp = true;
    if (line.startsWith("v ")) this.violations.push(`${worker.role} in ${worker.runtime}: ${line.slice(2)}`);
    if (worker.role === "serve") {
      worker.holds = line === "holds";
    } else if (++this.#done % 500 === 0) {
      progress?.(this.#done);
    }
    if (!this.#goesOn) return this.#stop();
    if (--this.#untilKill > 0) return;
    this.#untilKill = 1 + random.below(60);
    const role = random.below(4) === 0 ? "send" : "serve";
    const living = [...this.#workers[role]].filter(({ isUp, killed }) => isUp && !killed);
    const holder = living.find(({ holds }) => holds);
    const victim = holder !== undefined && random.below(4) > 0 ? holder : random.of(living);
    if (victim !== undefined) this.#killAfter(victim, random.below(30));
  }

  #killAfter(victim: Worker, turns: number): void {
    if (turns > 0) return void setImmediate(() => this.#killAfter(victim, turns - 1));
    if (victim.killed || !this.#goesOn || !this.#workers[victim.role].has(victim)) return;
    const what = `${victim.role} in ${victim.runtime}`;
    this.killed[what] = (this.killed[what] ?? 0) + 1;
    victim.killed = true;
    this.pids.add(victim.child.pid!);
    process.kill(victim.child.pid!, "SIGKILL");
    this.#start(victim.role, this.#options.random.of(RUNTIMES));
  }

  /** First the senders: nobody who sends is left alone. */
  #stop(): void {
    for (const { child } of this.#workers.send) child.stdin!.end();
  }

  async #ended(role: Role): Promise<void> {
    const workers = this.#workers[role];
    while (workers.size > 0) await Promise.race([...workers].map(({ exited }) => exited));
  }

  async run(): Promise<Verdict> {
    for (let i = 0; i < SERVERS; i++) this.#start("serve", RUNTIMES[i % RUNTIMES.length]!);
    for (let i = 0; i < SENDERS; i++) this.#start("send", RUNTIMES[i % RUNTIMES.length]!);
    await this.#ended("send");
    for (const { child } of this.#workers.serve) child.stdin!.end();
    await this.#ended("serve");
    return judge(readFileSync(this.#path, "utf8"), this.pids);
  }
}

/** Runs it; when it is over nobody holds the guard, and killed processes may have left files behind. */
export async function messageTorture(options: MessageTortureOptions): Promise<MessageTortureResult> {
  const place = mkdtempSync(`${tmpdir()}/qshm-journal-`);
  try {
    const torture = new Torture(options, place);
    const verdict = await torture.run();
    return { ...verdict, violations: [...torture.violations, ...verdict.violations], killed: torture.killed };
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}
