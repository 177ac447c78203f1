/**
 * The journal of a guard's torture: what every process did, in one order, and what is wrong with it.
 *
 * All append to one file, a line at a time; so a line that stands before another one was written before it. The last
 * word of a line is the pid of its writer. A contender writes
 *
 *   ask TOKEN                 before it asks for the guard, with this token in its data
 *   hold TOKEN RECOVERED      when it has it
 *   release TOKEN             before it releases it
 *   released TOKEN            afterwards
 *   refused TOKEN             when it did not get it, for whatever reason
 *
 * an observer
 *
 *   look LOOK                 before it asks who holds it
 *   saw LOOK TOKEN PID        that one (also of AlreadyRunningError, LOOK being the contender's own token)
 *   nobody LOOK, leaving LOOK
 *
 * and whoever kills writes `kill PID` before the signal and `killed PID` when the process is gone.
 */

import type { Payload } from "../../mod.ts";

/** What a contender says of itself: a token, repeated, so that a mixture of two shows. */
export function dataOf(token: string, padding: number): Payload {
  return { token, padding: token.repeat(Math.ceil(padding / token.length)), end: token };
}

/** The token, or `torn`. */
export function tokenOf(data: Payload | undefined): string {
  const { token, padding, end } = data as { token: string; padding: string; end: string };
  return token === end && padding === token.repeat(padding.length / token.length) ? token : "torn";
}

/** One request for the guard; the numbers are places in the journal. */
interface Attempt {
  readonly token: string;
  readonly pid: number;
  readonly asked: number;
  held: number;
  recovered: boolean;
  release: number;
  released: number;
  refused: number;
}

interface Look {
  readonly what: "saw" | "nobody" | "leaving";
  readonly began: number;
  readonly ended: number;
  readonly token: string;
  readonly pid: string;
}

export interface Verdict {
  readonly violations: readonly string[];
  /** How many held it. */
  readonly holders: number;
  /** How many of them were told of a crash. */
  readonly recovered: number;
  /** Kills by what the killed one was doing. */
  readonly kills: { holding: number; releasing: number; asking: number; idle: number };
  /** How often somebody was seen, nobody, and somebody who was leaving. */
  readonly looks: { saw: number; nobody: number; leaving: number };
}

const NEVER = Infinity;

class Journal {
  readonly attempts = new Map<string, Attempt>();
  readonly looks: Look[] = [];
  readonly kill = new Map<number, number>();
  readonly killed = new Map<number, number>();

  constructor(text: string) {
    const begins = new Map<string, number>();
    const lines = text.split("\n");
    if (lines.at(-1) !== "") throw new Error("the journal ends within a line");
    for (const [at, line] of lines.slice(0, -1).entries()) {
      const words = line.split(" ");
      const [what, token = ""] = words;
      const pid = Number(words.at(-1));
      const attempt = this.attempts.get(token);
      if (what === "ask") {
        const later = { held: NEVER, release: NEVER, released: NEVER, refused: NEVER };
        this.attempts.set(token, { token, pid, asked: at, recovered: false, ...later });
        begins.set(token, at);
      } else if (what === "hold") Object.assign(attempt!, { held: at, recovered: words[2] === "true" });
      else if (what === "release") attempt!.release = at;
      else if (what === "released") attempt!.released = at;
      else if (what === "refused") attempt!.refused = at;
      else if (what === "kill") this.kill.set(pid, at);
      else if (what === "killed") this.killed.set(pid, at);
      else if (what === "look") begins.set(token, at);
      else if (what === "saw" || what === "nobody" || what === "leaving") {
        this.looks.push({ what, began: begins.get(token)!, ended: at, token: words[2]!, pid: words[3]! });
      } else throw new Error(`what is this: ${line}`);
    }
  }

  killOf({ pid }: Attempt): number {
    return this.kill.get(pid) ?? NEVER;
  }

  /** Killed before it was known whether it would hold. */
  isUndecided(attempt: Attempt): boolean {
    return attempt.held === NEVER && attempt.refused === NEVER && this.killOf(attempt) !== NEVER;
  }

  /** From when on it cannot be the holder any more, whatever the next one did. */
  end(attempt: Attempt): number {
    return Math.min(attempt.released, this.killed.get(attempt.pid) ?? NEVER);
  }
}

/** Who holds when another one begins to? And was it told how that one ended? */
function checkHolders(journal: Journal, holders: readonly Attempt[], violations: string[]): void {
  const undecided = [...journal.attempts.values()].filter((attempt) => journal.isUndecided(attempt));
  for (const [i, next] of holders.entries()) {
    const last = holders[i - 1];
    // One that was killed while it asked may have held, or been about to, in between.
    const between = undecided.some((one) => one.asked < next.held && journal.end(one) > (last?.held ?? 0));
    const crashed = last !== undefined && last.release === NEVER;
    const unclear = between || (last !== undefined && !crashed && last.released === NEVER);
    const where = `${next.token} holds (recovered ${next.recovered}), after ${last?.token ?? "nobody"}`;
    if (last !== undefined && last.release > next.held && journal.killOf(last) > next.held) {
      violations.push(`two at once: ${where}, which neither released it nor was killed`);
    }
    if (crashed && !next.recovered) violations.push(`not told of a crash: ${where}, which was killed while it held`);
    if (!crashed && !unclear && next.recovered) violations.push(`told of a crash that was none: ${where}`);
  }
}

/** Was it true at some moment of the look? */
function checkLooks(journal: Journal, holders: readonly Attempt[], violations: string[]): void {
  const nextHeld = new Map(holders.map((holder, i) => [holder, holders[i + 1]?.held ?? NEVER]));
  for (const { what, began, ended, token, pid } of journal.looks) {
    const where = `lines ${began + 1} to ${ended + 1}, ${what} ${token} ${pid}`;
    if (what !== "saw") {
      const all = holders.find((holder) => {
        return holder.held < began && holder.release > ended && journal.killOf(holder) > ended;
      });
      if (all !== undefined) violations.push(`overlooked: ${where}, while ${all.token} held it all the time`);
      continue;
    }
    const attempt = journal.attempts.get(token);
    if (attempt === undefined) violations.push(`torn: ${where}`);
    else if (attempt.asked > ended) violations.push(`seen too early: ${where}`);
    else if (attempt.refused < NEVER) violations.push(`false: ${where}, which never held it`);
    else if (Math.min(journal.end(attempt), nextHeld.get(attempt) ?? NEVER) < began) violations.push(`stale: ${where}`);
    else if (pid !== "unseen" && Number(pid) !== attempt.pid) violations.push(`false pid: ${where}`);
  }
}

/** Reads a journal, and judges. */
export function judge(text: string): Verdict {
  const journal = new Journal(text);
  const holders = [...journal.attempts.values()].filter(({ held }) => held < NEVER).sort((a, b) => a.held - b.held);
  const violations: string[] = [];
  checkHolders(journal, holders, violations);
  checkLooks(journal, holders, violations);
  const kills = { holding: 0, releasing: 0, asking: 0, idle: 0 };
  for (const [pid] of journal.kill) {
    const last = [...journal.attempts.values()].filter((attempt) => attempt.pid === pid).at(-1);
    if (last === undefined || last.refused < NEVER || last.released < NEVER) kills.idle++;
    else if (last.release < NEVER) kills.releasing++;
    else if (last.held < NEVER) kills.holding++;
    else kills.asking++;
  }
  const looks = { saw: 0, nobody: 0, leaving: 0 };
  for (const { what } of journal.looks) looks[what]++;
  return { violations, holders: holders.length, recovered: holders.filter((one) => one.recovered).length, kills, looks };
}
