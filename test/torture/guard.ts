/**
 * Guard torture: processes of all runtimes hold, try, wait for and look at one guard, and are killed with SIGKILL: most
 * of them while they certainly hold it, the others wherever they are. What each did stands in a journal, from which
 * guard_journal.ts finds two holders at once, a crash that was not told, and a look that told what was not so.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { createInterface } from "node:readline";
import type { Random } from "../support/random.ts";
import { commandOf, type RuntimeName, RUNTIMES } from "../support/runtimes.ts";
import { judge, type Verdict } from "./guard_journal.ts";

const CONTENDERS = 6;
const WORKER = new URL("./guard_worker.ts", import.meta.url).pathname;

export interface GuardTortureOptions {
  readonly directory: string;
  readonly kills: number;
  readonly random: Random;
  readonly progress?: (kills: number) => void;
}

export interface GuardTortureResult extends Verdict {
  /** Kills by runtime. */
  readonly killed: Readonly<Record<string, number>>;
}

class Worker {
  readonly runtime: RuntimeName;
  readonly child: ChildProcess;
  readonly exited: Promise<unknown>;
  /** It has said that it holds the guard, and waits for the answer. */
  holds = false;
  isUp = false;
  killed = false;
  #stderr = "";

  constructor(runtime: RuntimeName, directory: string, args: readonly string[], onLine: (worker: Worker, line: string) => void) {
    this.runtime = runtime;
    const command = commandOf(runtime, WORKER, args);
    this.child = spawn(command.command, command.args, { env: { ...process.env, QSHM_DIRECTORY: directory } });
    this.child.stdin!.on("error", () => {}); // it was killed
    this.child.stderr!.on("data", (text) => this.#stderr += text);
    this.exited = once(this.child, "close");
    createInterface({ input: this.child.stdout! }).on("line", (line) => onLine(this, line));
  }

  answer(goOn: boolean): void {
    this.holds = false;
    this.child.stdin!.write(goOn ? "\n" : "q\n");
  }

  /** Why it ended, if not by our hand. */
  get failure(): string | undefined {
    const { exitCode, signalCode } = this.child;
    if (this.killed || exitCode === 0) return undefined;
    return `${this.runtime} ended with ${signalCode ?? exitCode}: ${this.#stderr}`;
  }
}

class Torture {
  readonly violations: string[] = [];
  readonly killed: Record<string, number> = Object.fromEntries(RUNTIMES.map((name) => [name, 0]));
  readonly #options: GuardTortureOptions;
  readonly #path: string;
  readonly #journal: number;
  readonly #contenders = new Set<Worker>();
  readonly #observers = new Set<Worker>();
  #done = 0;
  #untilKill = 1;

  constructor(options: GuardTortureOptions, place: string) {
    this.#options = options;
    this.#path = `${place}/journal`;
    this.#journal = openSync(this.#path, "a");
  }

  #log(line: string): void {
    writeSync(this.#journal, `${line}\n`);
  }

  #start(runtime: RuntimeName, role: "contend" | "observe"): void {
    const { directory, random } = this.#options;
    const args = [role, this.#path, String(random.below(0x7fffffff))];
    const worker = new Worker(runtime, directory, args, (worker, line) => this.#onLine(worker, line));
    const workers = role === "contend" ? this.#contenders : this.#observers;
    workers.add(worker);
    void worker.exited.then(() => {
      if (worker.killed) this.#log(`killed ${worker.child.pid}`);
      if (worker.failure !== undefined) this.violations.push(worker.failure);
      workers.delete(worker);
    });
  }

  #onLine(worker: Worker, line: string): void {
    if (line.startsWith("v ")) this.violations.push(`${worker.runtime}: ${line.slice(2)}`);
    if (worker.killed) return;
    worker.isUp = true;
    if (line === "up") return;
    worker.holds = true;
    const { kills, random } = this.#options;
    const goOn = this.#done < kills && this.violations.length === 0;
    if (!goOn || --this.#untilKill > 0) return worker.answer(goOn);
    this.#untilKill = 1 + random.below(3);
    const which = random.below(5);
    if (which > 2) return this.#kill(worker); // it holds
    worker.answer(true);
    // This one somewhere behind its release; or any other, mostly while it asks.
    const others = [...this.#contenders].filter((other) => other !== worker && other.isUp && !other.killed);
    const victim = which === 0 || others.length === 0 ? worker : random.of(others);
    this.#killAfter(victim, random.below(30));
  }

  #killAfter(victim: Worker, turns: number): void {
    if (turns > 0) setImmediate(() => this.#killAfter(victim, turns - 1));
    else if (!victim.killed && this.#contenders.has(victim)) this.#kill(victim);
  }

  #kill(victim: Worker): void {
    const { progress } = this.#options;
    this.#done++;
    this.killed[victim.runtime]!++;
    victim.killed = true;
    this.#log(`kill ${victim.child.pid}`);
    victim.child.kill("SIGKILL");
    if (this.#done % 100 === 0) progress?.(this.#done);
    this.#start(victim.runtime, "contend");
  }

  async run(): Promise<Verdict> {
    for (let i = 0; i < CONTENDERS; i++) this.#start(RUNTIMES[i % RUNTIMES.length]!, "contend");
    for (const runtime of RUNTIMES.slice(0, 2)) this.#start(runtime, "observe");
    while (this.#contenders.size > 0) await Promise.race([...this.#contenders].map(({ exited }) => exited));
    for (const { child } of this.#observers) child.stdin!.end();
    while (this.#observers.size > 0) await Promise.race([...this.#observers].map(({ exited }) => exited));
    closeSync(this.#journal);
    return judge(readFileSync(this.#path, "utf8"));
  }
}

/** Runs it; when it is over nobody holds the guard, and the last crash may have left its file behind. */
export async function guardTorture(options: GuardTortureOptions): Promise<GuardTortureResult> {
  const place = mkdtempSync(`${tmpdir()}/qshm-journal-`);
  try {
    const torture = new Torture(options, place);
    const verdict = await torture.run();
    return { ...verdict, violations: [...torture.violations, ...verdict.violations], killed: torture.killed };
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}
