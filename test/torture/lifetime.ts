/**
 * Lifetime torture: eight processes of all runtimes create, attach, open and detach the same names, and are killed at
 * random with SIGKILL.
 *
 * Each live segment carries a nonce. A process that is attached says so and waits for the answer; before it detaches it
 * says so and waits; one that is killed is struck off before the signal is sent. So the scoreboard here only ever names
 * segments that are certainly live, and two nonces for one name prove that two live segments had it. On top, each
 * process attaches a second time while it is attached: the name must lead to the same segment.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { nativePeer } from "../support/native_peer.ts";
import type { Random } from "../support/random.ts";
import { commandOf, type RuntimeName, RUNTIMES } from "../support/runtimes.ts";

const KEYS = ["one", "two"];
const PROCESSES = 8;
const WORKER = new URL("./lifetime_worker.ts", import.meta.url).pathname;

export interface LifetimeOptions {
  readonly directory: string;
  readonly kills: number;
  readonly random: Random;
  readonly progress?: (kills: number) => void;
}

export interface LifetimeResult {
  /** What went wrong; empty is right. */
  readonly violations: readonly string[];
  /** Kills by what was killed. */
  readonly kills: Readonly<Record<string, number>>;
  /** How often a process told that it was attached. */
  readonly reports: number;
}

type WorkerName = RuntimeName | "c";

class Scoreboard {
  readonly violations: string[] = [];
  readonly #held = new Map<Worker, Map<string, string>>();

  hold(worker: Worker, key: string, nonce: string): void {
    for (const [other, segments] of this.#held) {
      const theirs = segments.get(key);
      if (theirs !== undefined && theirs !== nonce) {
        this.violations.push(
          `two live segments of ${KEYS[Number(key)]}: ${nonce} (${worker.name}), ${theirs} (${other.name})`,
        );
      }
    }
    const mine = this.#held.get(worker) ?? new Map<string, string>();
    this.#held.set(worker, mine.set(key, nonce));
  }

  leave(worker: Worker, key: string): void {
    this.#held.get(worker)?.delete(key);
  }

  strike(worker: Worker): void {
    this.#held.delete(worker);
  }
}

class Worker {
  readonly name: WorkerName;
  readonly exited: Promise<unknown>;
  readonly #child: ChildProcess;
  readonly #onLine: (worker: Worker, line: string) => "go on" | "quit";
  #killed = false;
  #stderr = "";

  constructor(
    name: WorkerName,
    directory: string,
    seed: number,
    onLine: (worker: Worker, line: string) => "go on" | "quit",
  ) {
    this.name = name;
    this.#onLine = onLine;
    const { command, args } = name === "c"
      ? { command: nativePeer()!, args: ["lifetime", KEYS.join(","), String(seed)] }
      : commandOf(name, WORKER, [KEYS.join(","), String(seed)]);
    this.#child = spawn(command, args, { env: { ...process.env, QSHM_DIRECTORY: directory } });
    this.#child.stdin!.on("error", () => {}); // it was killed
    this.#child.stderr!.on("data", (text) => this.#stderr += text);
    this.exited = once(this.#child, "exit");
    createInterface({ input: this.#child.stdout! }).on("line", (line) => {
      // What a killed process said before is no news: it is struck off already.
      if (!this.#killed) this.#child.stdin!.write(this.#onLine(this, line) === "quit" ? "q\n" : "\n");
    });
  }

  /** Why it ended, if not by our hand. */
  get failure(): string | undefined {
    const { exitCode, signalCode } = this.#child;
    return this.#killed || exitCode === 0
      ? undefined
      : `${this.name} ended with ${signalCode ?? exitCode}: ${this.#stderr}`;
  }

  async kill(): Promise<void> {
    this.#killed = true;
    this.#child.kill("SIGKILL");
    await this.exited;
  }
}

/** Runs it; when it is over nobody is attached, and the last crash may have left a file behind. */
export async function lifetimeTorture(
  { directory, kills, random, progress }: LifetimeOptions,
): Promise<LifetimeResult> {
  const names: WorkerName[] = [...RUNTIMES, ...(nativePeer() === undefined ? [] : ["c" as const])];
  const scoreboard = new Scoreboard();
  const killed: Record<string, number> = Object.fromEntries(names.map((name) => [name, 0]));
  const workers = new Set<Worker>();
  let done = 0;
  let reports = 0;
  let untilKill = 0;
  const drawPause = (): number => 1 + random.below(24);

  function onLine(worker: Worker, line: string): "go on" | "quit" {
    const [what, key = "", nonce = ""] = line.split(" ");
    if (what === "h") {
      reports++;
      scoreboard.hold(worker, key, nonce);
    } else if (what === "l") {
      scoreboard.leave(worker, key);
    } else {
      scoreboard.violations.push(`${worker.name}: ${line.slice(2)}`);
    }
    if (done >= kills || scoreboard.violations.length > 0) return "quit";
    if (--untilKill <= 0) {
      untilKill = drawPause();
      void killOne();
    }
    return "go on";
  }

  function start(name: WorkerName): void {
    const worker = new Worker(name, directory, random.below(0x7fffffff), onLine);
    workers.add(worker);
    void worker.exited.then(() => {
      if (worker.failure !== undefined) scoreboard.violations.push(worker.failure);
      workers.delete(worker);
      scoreboard.strike(worker);
    });
  }

  async function killOne(): Promise<void> {
    const victim = random.of([...workers]);
    done++;
    killed[victim.name]!++;
    scoreboard.strike(victim);
    workers.delete(victim);
    if (done % 100 === 0) progress?.(done);
    start(victim.name);
    await victim.kill();
  }

  untilKill = drawPause();
  for (let i = 0; i < PROCESSES; i++) start(names[i % names.length]!);
  while (workers.size > 0) await Promise.race([...workers].map(({ exited }) => exited));
  return { violations: scoreboard.violations, kills: killed, reports };
}
