/** Takes samples of several subjects in turn, so that whatever else the machine does meets all of them alike. */

import { type Clock, Host } from "./host.ts";
import type { Plan, Samples, SubjectName } from "./row.ts";

/** Nanoseconds that a batch and the warm-up before all of them take. */
interface Lengths {
  readonly batch: number;
  readonly warmUp: number;
}

/**
 * A batch is long beside the clock's tick, and short beside the scheduler's slice, so that few are interrupted. While it
 * warms up, the runtime's compilers finish.
 */
const LENGTHS: Lengths = { batch: 1e6, warmUp: 200e6 };

/** One subject in one round. */
export interface Runner {
  readonly name: SubjectName;
  readonly clock: Clock;
  readonly count: number;
}

/** Finds how many operations make a batch, and warms up. */
export async function calibrate(name: SubjectName, clock: Clock, { batch, warmUp } = LENGTHS): Promise<Runner> {
  let count = 1;
  for (let spent = 0, elapsed = 0; spent < warmUp || elapsed < batch / 2; spent += elapsed) {
    elapsed = Math.max(await clock.time(name, count), 1);
    if (elapsed < batch / 2) count *= 2;
    else count = Math.max(1, Math.round(count * Math.min(2, batch / elapsed)));
  }
  return { name, clock, count };
}

/** Takes a sample of each in turn, `batches` times. The order rotates. */
export async function sample(
  runners: readonly Runner[],
  batches: number,
  samples: ReadonlyMap<SubjectName, number[]>,
): Promise<void> {
  for (let batch = 0; batch < batches; batch++) {
    for (let i = 0; i < runners.length; i++) {
      const { name, clock, count } = runners[(i + batch) % runners.length]!;
      samples.get(name)!.push(await clock.time(name, count) / count);
    }
  }
}

/** No samples yet. */
export function emptySamples({ subjects }: Plan): Map<SubjectName, number[]> {
  return new Map(subjects.map((name) => [name, []]));
}

/**
 * Measures subjects whose names begin with `js.` (in one process of the runtime), `c.` (in one process of
 * `rivals.c`) or `qt.` (of `rivals_qt.cpp`). Every round has fresh processes.
 */
export async function interleave(group: string, plan: Plan): Promise<Samples> {
  const samples = emptySamples(plan);
  for (let round = 0; round < plan.rounds; round++) {
    const runtime = Host.inRuntime(group, plan);
    const c = Host.inC(plan);
    const qt = plan.subjects.some((name) => name.startsWith("qt.")) ? Host.inQt(plan) : undefined;
    const hostOf = (name: SubjectName): Host => name.startsWith("c.") ? c : name.startsWith("qt.") ? qt! : runtime;
    const runners: Runner[] = [];
    for (const name of plan.subjects) runners.push(await calibrate(name, hostOf(name)));
    await sample(runners, plan.batches, samples);
    await Promise.all([runtime.end(), c.end(), qt?.end()]);
  }
  return samples;
}
