/** Takes samples of several subjects in turn, so that whatever else the machine does meets all of them alike. */

import { Host } from "./host.ts";
import type { Plan, Samples, SubjectName } from "./row.ts";

/** A batch is long beside the clock's tick, and short beside the scheduler's slice, so that few are interrupted. */
const BATCH_NS = 1e6;
/** For the runtime's compilers to finish. */
const WARM_UP_NS = 200e6;

/** One subject in one round. */
interface Runner {
  readonly name: SubjectName;
  readonly host: Host;
  readonly count: number;
}

/** Finds how many operations make a batch, and warms up. */
async function prepare(name: SubjectName, host: Host): Promise<Runner> {
  let count = 1;
  for (let spent = 0, elapsed = 0; spent < WARM_UP_NS || elapsed < BATCH_NS / 2; spent += elapsed) {
    elapsed = Math.max(await host.time(name, count), 1);
    if (elapsed < BATCH_NS / 2) count *= 2;
    else count = Math.max(1, Math.round(count * Math.min(2, BATCH_NS / elapsed)));
  }
  return { name, host, count };
}

/**
 * Measures subjects whose names begin with `js.` (in one process of the runtime) or `c.` (in one process of
 * `rivals.c`). Every round has fresh processes; the order within a batch rotates.
 */
export async function interleave(group: string, plan: Plan): Promise<Samples> {
  const samples = new Map<SubjectName, number[]>(plan.subjects.map((name) => [name, []]));
  for (let round = 0; round < plan.rounds; round++) {
    const runtime = Host.inRuntime(group, plan);
    const c = Host.inC(plan);
    const runners: Runner[] = [];
    for (const name of plan.subjects) runners.push(await prepare(name, name.startsWith("c.") ? c : runtime));
    for (let batch = 0; batch < plan.batches; batch++) {
      for (let i = 0; i < runners.length; i++) {
        const { name, host, count } = runners[(i + batch) % runners.length]!;
        samples.get(name)!.push(await host.time(name, count) / count);
      }
    }
    await Promise.all([runtime.end(), c.end()]);
  }
  return samples;
}
