/** The command line. */

import { parseArgs } from "node:util";
import { RUNTIMES, type RuntimeName } from "../support/runtimes.ts";

/** What was asked for. */
export interface Options {
  readonly runtimes: readonly RuntimeName[];
  /** Parts of `group: row`, in lower case; none: all. */
  readonly rows: readonly string[];
  readonly rounds: number;
  readonly batches: number;
  /** Where to write what was measured. */
  readonly json: string | undefined;
  /** Where to draw it. */
  readonly chart: string | undefined;
  /** What to read instead of measuring. */
  readonly from: string | undefined;
}

const HELP = `Usage: npm run bench -- [OPTION...]

  --runtime=NAME  deno, bun or node; may be given several times (default: all that are installed)
  --row=TEXT      only rows whose "group: row" contains TEXT; may be given several times
  --rounds=N      fresh processes for each subject (default: 3)
  --batches=N     samples of each subject in a round (default: 40)
  --json=FILE     write the table to FILE as JSON
  --chart=FILE    draw the table to FILE as SVG
  --from=FILE     take the table from what --json wrote, and measure nothing
  --help          print this

test/bench/main.ts says how to read the table.`;

function positive(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new RangeError(`--${name} must be a positive whole number: got ${text}`);
  return value;
}

function isInstalled(name: string): name is RuntimeName {
  return (RUNTIMES as readonly string[]).includes(name);
}

/** Parses the arguments; `undefined`: help was asked for, and printed. */
export function parseOptions(args: readonly string[]): Options | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      runtime: { type: "string", multiple: true, default: [] },
      row: { type: "string", multiple: true, default: [] },
      rounds: { type: "string", default: "3" },
      batches: { type: "string", default: "40" },
      json: { type: "string" },
      chart: { type: "string" },
      from: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(HELP);
    return undefined;
  }
  const unknown = values.runtime.find((name) => !isInstalled(name));
  if (unknown !== undefined) throw new RangeError(`Not a runtime that is installed: ${unknown}`);
  return {
    runtimes: values.runtime.length > 0 ? values.runtime.filter(isInstalled) : RUNTIMES,
    rows: values.row.map((text) => text.toLowerCase()),
    rounds: positive("rounds", values.rounds),
    batches: positive("batches", values.batches),
    json: values.json,
    chart: values.chart,
    from: values.from,
  };
}
