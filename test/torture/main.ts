/** `npm run torture`: the long forms, with progress lines. QSHM_SEED repeats a run, QSHM_KILLS shortens it. */

import { testDirectory } from "../support/directory.ts";
import { Peer } from "../support/peer.ts";
import { printedRandom } from "../support/random.ts";
import { RUNTIMES } from "../support/runtimes.ts";
import { guardTorture } from "./guard.ts";
import { lifetimeTorture } from "./lifetime.ts";
import { killOwners } from "./lock.ts";

const kills = Number(process.env.QSHM_KILLS ?? 3000);
const progress = (what: string) => (done: number): void => console.log(`${what}: ${done} kills`);
const problems: string[] = [];

{
  using directory = testDirectory();
  const result = await lifetimeTorture({
    directory: directory.path,
    kills,
    random: printedRandom("lifetime"),
    progress: progress("lifetime"),
  });
  problems.push(...result.violations);
  console.log(`lifetime: killed ${JSON.stringify(result.kills)}, ${result.reports} attachments reported`);
  await using peer = await Peer.start(RUNTIMES[0]!, { directory: directory.path });
  await peer.run(({ SharedMemory }) => {
    for (const key of ["one", "two"]) SharedMemory.create(key, 64).detach();
  });
  problems.push(...directory.entries().map((name) => `lifetime: left over: ${name}`));
}
{
  using directory = testDirectory();
  const result = await killOwners({
    directory: directory.path,
    kills: Math.ceil(kills / 2),
    random: printedRandom("lock"),
    progress: progress("lock"),
  });
  problems.push(...result.violations, ...directory.entries().map((name) => `lock: left over: ${name}`));
  console.log(
    `lock: owners killed ${JSON.stringify(result.owners)}; anywhere ${result.anywhere}, owning ${result.met}`,
  );
}
{
  using directory = testDirectory();
  const result = await guardTorture({
    directory: directory.path,
    kills,
    random: printedRandom("guard"),
    progress: progress("guard"),
  });
  problems.push(...result.violations.map((violation) => `guard: ${violation}`));
  console.log(
    `guard: killed ${JSON.stringify(result.killed)}, namely ${JSON.stringify(result.kills)}; ${result.holders} held it, ` +
      `${result.recovered} after a crash; seen ${JSON.stringify(result.looks)}`,
  );
  await using peer = await Peer.start(RUNTIMES[0]!, { directory: directory.path });
  await peer.run(({ SingleInstance }) => SingleInstance.tryAcquire("torture")?.release());
  problems.push(...directory.entries().map((name) => `guard: left over: ${name}`));
}

for (const problem of problems) console.error(`FAILED: ${problem}`);
console.log(problems.length === 0 ? "torture: nothing found" : `torture: ${problems.length} problems`);
process.exitCode = problems.length === 0 ? 0 : 1;
