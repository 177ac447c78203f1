/** From samples to lines of the table. */

import type { RuntimeName } from "../support/runtimes.ts";
import { numberFor, type Row, type Samples, type SubjectName } from "./row.ts";
import { ratioOf, type Summary, summarize } from "./statistics.ts";

/** A line of the table. Times are nanoseconds. */
export interface Line {
  readonly runtime: RuntimeName;
  readonly group: string;
  readonly row: string;
  readonly samples: number;
  readonly ours: Summary;
  readonly rival: Summary | undefined;
  /** Ours over the rival's: less is better. */
  readonly ratio: Summary | undefined;
  readonly target: { readonly text: string; readonly limit: number; readonly of: "ours" | "ratio" } | undefined;
  readonly verdict: "ok" | "MISSED" | "";
}

function targetOf(row: Row, runtime: RuntimeName): Line["target"] {
  const { target } = row;
  if (target === undefined) return undefined;
  if ("atMost" in target) {
    const limit = numberFor(runtime, target.atMost);
    return { text: `<= ${time(limit)}`, limit, of: "ours" };
  }
  if ("ratioAtMost" in target) {
    const limit = numberFor(runtime, target.ratioAtMost);
    return { text: `<= ${Number(limit.toPrecision(3))}x`, limit, of: "ratio" };
  }
  const factor = numberFor(runtime, target.fasterBy);
  return { text: `>= ${factor}x faster`, limit: 1 / factor, of: "ratio" };
}

function samplesOf(rival: SubjectName | number | undefined, samples: Samples): readonly number[] | undefined {
  return typeof rival === "string" ? samples.get(rival)! : undefined;
}

/** Judges one row. */
export function lineOf(group: string, row: Row, runtime: RuntimeName, samples: Samples): Line {
  const mine = samples.get(row.ours)!;
  const constant = typeof row.rival === "number" ? mine.map(() => row.rival as number) : undefined;
  const theirs = constant ?? samplesOf(row.rival, samples);
  const ours = summarize(mine);
  const ratio = theirs && ratioOf(mine, theirs);
  const target = targetOf(row, runtime);
  const reached = target?.of === "ours" ? ours.median : ratio?.median;
  return {
    runtime,
    group,
    row: row.name,
    samples: mine.length,
    ours,
    rival: theirs && summarize(theirs),
    ratio,
    target,
    verdict: target === undefined || reached === undefined ? "" : reached <= target.limit ? "ok" : "MISSED",
  };
}

function digits(value: number): string {
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

function scale(nanoseconds: number): readonly [number, string] {
  const size = Math.abs(nanoseconds);
  return size < 1e3 ? [1, "ns"] : size < 1e6 ? [1e3, "us"] : size < 1e9 ? [1e6, "ms"] : [1e9, "s"];
}

/** A round time, for a scale. */
export function shortTime(nanoseconds: number): string {
  const [unit, name] = scale(nanoseconds);
  return `${Number((nanoseconds / unit).toPrecision(3))} ${name}`;
}

function time(nanoseconds: number): string {
  const [unit, name] = scale(nanoseconds);
  return `${digits(nanoseconds / unit)} ${name}`;
}

function timeWithSpread({ median, min, max }: Summary): string {
  const [unit, name] = scale(median);
  const spread = min === max ? "" : ` (${digits(min / unit)}..${digits(max / unit)})`;
  return `${digits(median / unit)} ${name}${spread}`;
}

function ratioWithSpread({ median, min, max }: Summary): string {
  return median < 0.5
    ? `${digits(1 / median)}x faster (${digits(1 / max)}..${digits(1 / min)})`
    : `${digits(median)}x (${digits(min)}..${digits(max)})`;
}

const HEADINGS = ["row", "ours", "rival", "ratio", "target", "verdict"] as const;

/** The lines of one runtime as text. */
export function format(lines: readonly Line[]): string {
  const cells = lines.map((line) => [
    `${line.group}: ${line.row}`,
    timeWithSpread(line.ours),
    line.rival ? timeWithSpread(line.rival) : "",
    line.ratio ? ratioWithSpread(line.ratio) : "",
    line.target?.text ?? "",
    line.verdict,
  ]);
  const all = [HEADINGS, ...cells];
  const widths = HEADINGS.map((_, column) => Math.max(...all.map((row) => row[column]!.length)));
  return all.map((row) => row.map((cell, column) => cell.padEnd(widths[column]!)).join("  ").trimEnd()).join("\n");
}
