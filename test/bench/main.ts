/**
 * Benchmarks: `npm run bench`, see `--help`.
 *
 * How to read the table. A row is an operation of the public API, beside a rival's operation that does the same job.
 * Both are measured in one run, in batches of about 1 ms that take turns, in several fresh processes. A cell is the
 * median of the batches and, in brackets, the lowest and the highest.
 *
 *   ours, rival  time for one operation; in the start-up rows, what it adds to an empty script
 *   ratio        our median over the rival's: `1.2x` is 1.2 times its time, `30x faster` a thirtieth of it. In brackets,
 *                the range for batches that ran next to each other
 *   target       what we want: a time, a ratio that is not to be exceeded, or a factor by which to be faster. Rows
 *                without a target inform, mostly on where the time of another row goes
 *   verdict      judges the medians
 *
 * Absolute times hold for one machine, ratios travel better. Other load widens the spreads, and after that shifts the
 * medians: a MISSED with a ratio range that reaches far past the target on both sides is to be measured again.
 *
 * A file in `rows/` holds rows that are measured together, and the code of theirs that runs in the runtime under test;
 * the code that runs in C is in `rivals.c` and `partners.c`.
 *
 * The committed chart is drawn by `npm run bench -- --chart=test/bench/chart.svg`; see `chart.ts`.
 */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { testDirectory } from "../support/directory.ts";
import type { RuntimeName } from "../support/runtimes.ts";
import { buildPackage, compileRivals, installDependencies } from "./build.ts";
import { type Options, parseOptions } from "./options.ts";
import { readResults, type Results, resultsOf, writeResults } from "./results.ts";
import type { Group, Row } from "./row.ts";
import { attachGroup } from "./rows/attach.ts";
import { copyGroup } from "./rows/copy.ts";
import { createGroup } from "./rows/create.ts";
import { dataGroup } from "./rows/data.ts";
import { dataStreamGroup } from "./rows/data_stream.ts";
import { guardGroup } from "./rows/guard.ts";
import { handOverGroup } from "./rows/hand_over.ts";
import { lockGroup } from "./rows/lock.ts";
import { publishGroup } from "./rows/publish.ts";
import { qtLockGroup } from "./rows/qt_lock.ts";
import { recoveryGroup } from "./rows/recovery.ts";
import { requestGroup, sendersGroup } from "./rows/request.ts";
import { roundTripOnOneGroup, roundTripOnTwoGroup } from "./rows/round_trip.ts";
import { runGroup } from "./rows/run.ts";
import { secondStartGroup } from "./rows/second_start.ts";
import { semaphoreOnOneGroup, semaphoreOnTwoGroup } from "./rows/semaphore.ts";
import { startGroup } from "./rows/start.ts";
import { valueGroup } from "./rows/value.ts";
import { wakeOnOneGroup, wakeOnTwoGroup } from "./rows/wake.ts";
import { format, type Line, lineOf } from "./table.ts";

const GROUPS: readonly Group[] = [
  lockGroup,
  guardGroup,
  createGroup,
  attachGroup,
  dataGroup,
  copyGroup,
  publishGroup,
  wakeOnOneGroup,
  wakeOnTwoGroup,
  roundTripOnOneGroup,
  roundTripOnTwoGroup,
  valueGroup,
  dataStreamGroup,
  handOverGroup,
  semaphoreOnOneGroup,
  semaphoreOnTwoGroup,
  qtLockGroup,
  requestGroup,
  sendersGroup,
  startGroup,
  secondStartGroup,
  runGroup,
  recoveryGroup,
];

function selectRows(group: Group, runtime: RuntimeName, { rows }: Options): readonly Row[] {
  return group.rows.filter((row) =>
    (row.runtimes?.includes(runtime) ?? true) &&
    (rows.length === 0 || rows.some((text) => `${group.name}: ${row.name}`.toLowerCase().includes(text)))
  );
}

function subjectsOf(rows: readonly Row[]): readonly string[] {
  return [...new Set(rows.flatMap(({ ours, rival }) => (typeof rival === "string" ? [ours, rival] : [ours])))];
}

async function measure(options: Options): Promise<Results> {
  const build = mkdtempSync(`${tmpdir()}/qshm-bench-`);
  try {
    const rivals = compileRivals(build);
    const shipped = buildPackage(build);
    const lines: Line[] = [];
    for (const runtime of options.runtimes) {
      const own: Line[] = [];
      for (const group of GROUPS) {
        const rows = selectRows(group, runtime, options);
        if (rows.length === 0) continue;
        using directory = testDirectory();
        const { rounds, batches } = options;
        const plan = { runtime, subjects: subjectsOf(rows), rounds, batches, directory: directory.path, rivals, shipped: shipped(runtime) };
        const samples = await group.measure(plan);
        own.push(...rows.map((row) => lineOf(group.name, row, runtime, samples)));
      }
      lines.push(...own);
      console.log(`${runtime}\n${format(own)}\n`);
    }
    return resultsOf(options.runtimes, lines);
  } finally {
    rmSync(build, { recursive: true, force: true });
  }
}

async function main(options: Options): Promise<void> {
  installDependencies();
  const results = options.from === undefined ? await measure(options) : readResults(options.from);
  if (options.json !== undefined) writeResults(options.json, results);
  if (options.chart === undefined) return;
  const { draw } = await import("./chart.ts"); // what it needs is installed only now
  writeFileSync(options.chart, draw(results));
}

const options = parseOptions(process.argv.slice(2));
if (options !== undefined) await main(options);
