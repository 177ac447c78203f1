/**
 * `npm run torture`: the long forms, with progress lines.
 *
 *   npm run torture -- NAME...    only these parts
 *
 * QSHM_SEED repeats a run, QSHM_KILLS shortens it.
 */

import { testDirectory } from "../support/directory.ts";
import { Peer } from "../support/peer.ts";
import { printedRandom, type Random } from "../support/random.ts";
import { RUNTIMES } from "../support/runtimes.ts";
import { changesTorture } from "./changes.ts";
import { guardTorture } from "./guard.ts";
import { lifetimeTorture } from "./lifetime.ts";
import { killOwners } from "./lock.ts";
import { messageTorture } from "./messages.ts";
import { semaphoreTorture } from "./semaphore.ts";
import { valueTorture } from "./value.ts";

interface Run {
  readonly directory: string;
  readonly kills: number;
  readonly random: Random;
  readonly progress: (done: number) => void;
}

/** What a part found: what is wrong, and what it did. */
interface Found {
  readonly violations: readonly string[];
  readonly summary: string;
}

type Part = (run: Run) => Promise<Found>;

/** Changes, and requests, for each kill that the other parts do. */
const CHANGES_PER_KILL = 300;
const REQUESTS_PER_KILL = 10;

/** A guard's file stays until its next holder was told of the crash. */
async function tidyGuard(run: Run): Promise<void> {
  await using peer = await Peer.start(RUNTIMES[0]!, run);
  await peer.run(({ SingleInstance }) => SingleInstance.tryAcquire("torture")?.release());
}

const PARTS: Readonly<Record<string, Part>> = {
  async lifetime(run) {
    const { violations, kills, reports } = await lifetimeTorture(run);
    await using peer = await Peer.start(RUNTIMES[0]!, run);
    await peer.run(({ SharedMemory }) => {
      for (const key of ["one", "two"]) SharedMemory.create(key, 64).detach();
    });
    return { violations, summary: `killed ${JSON.stringify(kills)}, ${reports} attachments reported` };
  },

  async lock(run) {
    const { violations, owners, anywhere, met } = await killOwners({ ...run, kills: Math.ceil(run.kills / 2) });
    return { violations, summary: `owners killed ${JSON.stringify(owners)}; anywhere ${anywhere}, owning ${met}` };
  },

  async guard(run) {
    const { violations, killed, kills, holders, recovered, looks } = await guardTorture(run);
    await tidyGuard(run);
    const summary = `killed ${JSON.stringify(killed)}, namely ${JSON.stringify(kills)}; ${holders} held it, ` +
      `${recovered} after a crash; seen ${JSON.stringify(looks)}`;
    return { violations, summary };
  },

  async messages(run) {
    const { violations, outcomes, holders, killed } = await messageTorture({ ...run, requests: run.kills * REQUESTS_PER_KILL });
    await tidyGuard(run);
    return { violations, summary: `${JSON.stringify(outcomes)}; ${holders} held it; killed ${JSON.stringify(killed)}` };
  },

  /** Nobody is killed here: a wake-up that is lost leaves the reader asleep, and rejects. */
  async changes(run) {
    const lines: string[] = [];
    for (const reader of RUNTIMES) {
      const changes = run.kills * CHANGES_PER_KILL;
      const { seen, newest, checks } = await changesTorture({ ...run, reader, publishers: RUNTIMES, changes });
      lines.push(`${reader} saw ${seen} of ${newest}, awake at each of ${checks} checks`);
      run.progress(lines.length);
    }
    return { violations: [], summary: lines.join("; ") };
  },

  async value(run) {
    const { violations, killed, gets, sets } = await valueTorture(run);
    return { violations, summary: `killed ${JSON.stringify(killed)}; ${sets} values set, read ${JSON.stringify(gets)}` };
  },

  async semaphore(run) {
    const { violations, killed, available, least, most, turns } = await semaphoreTorture(run);
    const summary = `killed ${JSON.stringify(killed)}; ${available} permits of ${least} to ${most} there may be, ${turns} turns`;
    return { violations, summary };
  },
};

const kills = Number(process.env.QSHM_KILLS ?? 3000);
const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(PARTS);
const unknown = names.filter((name) => !Object.hasOwn(PARTS, name));
if (unknown.length > 0) {
  console.error(`No such part: ${unknown.join(", ")}; there are ${Object.keys(PARTS).join(", ")}`);
  process.exit(2);
}

const problems: string[] = [];
for (const name of names) {
  using directory = testDirectory();
  const progress = (done: number): void => console.log(`${name}: ${done}`);
  const run = { directory: directory.path, kills, random: printedRandom(name), progress };
  const { violations, summary } = await PARTS[name]!(run);
  console.log(`${name}: ${summary}`);
  problems.push(...violations.map((violation) => `${name}: ${violation}`));
  problems.push(...directory.entries().map((entry) => `${name}: left over: ${entry}`));
}

for (const problem of problems) console.error(`FAILED: ${problem}`);
console.log(problems.length === 0 ? "torture: nothing found" : `torture: ${problems.length} problems`);
process.exitCode = problems.length === 0 ? 0 : 1;
