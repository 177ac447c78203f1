/**
 * The table of `qshm top`.
 *
 * @module
 */

import type { SegmentInfo } from "../../../mod.ts";
import { attachedCell, lockCell, pending, permits, stateOf } from "../segment_text.ts";
import { fit, table, width } from "../table.ts";
import { cut, quote, size } from "../text.ts";
import type { Sampled } from "./sample.ts";

/** How much fits on a terminal. */
export interface Size {
  readonly columns: number;
  readonly rows: number;
}

const HEADER = ["KIND", "KEY", "SIZE", "ATTACHED", "LOCK", "WAITING", "CHANGES/S", "NOW"];
const KEY = 1;
const LONGEST_KEY = 64;
/** Others are cut rather than the key to less than this. */
const SHORTEST_KEY = 12;
const MOST_PIDS = 3;
const GAP = 2;

/** All of it. */
export function lines(segments: readonly Sampled[]): string[] {
  return table([HEADER, ...segments.map(cells)]).split("\n");
}

/** As much as fits under a title, and how many segments do not. */
export function fittingLines(title: string, segments: readonly Sampled[], { columns, rows }: Size): string[] {
  const room = Math.max(rows - 2, 0); // without title and header
  const shown = segments.length <= room ? segments : segments.slice(0, Math.max(room - 1, 0));
  const rest = segments.length - shown.length;
  const all = [HEADER, ...shown.map(cells)];
  const others = HEADER.reduce((sum, _, column) => column === KEY ? sum : sum + GAP + widest(all, column), 0);
  const longestKey = Math.max(columns - others, SHORTEST_KEY);
  const fitting = all.map((row) => row.map((cell, column) => column === KEY ? fit(cell, longestKey) : cell));
  return [title, ...table(fitting).split("\n"), ...(rest === 0 ? [] : [`… and ${rest} more`])]
    .slice(0, rows).map((line) => fit(line, columns));
}

function widest(rows: readonly (readonly string[])[], column: number): number {
  return rows.reduce((most, row) => Math.max(most, width(row[column]!)), 0);
}

function cells({ info, rate }: Sampled): string[] {
  return [
    info.kind,
    quote(cut(info.key, LONGEST_KEY)),
    info.size === 0 ? "-" : size(info.size),
    attachedCell(info, MOST_PIDS),
    lockCell(info),
    info.waiting === 0 ? "-" : `${info.waiting}`,
    rate === undefined ? "-" : rate < 10 ? `${Math.round(rate * 10) / 10}` : `${Math.round(rate)}`,
    now(info),
  ];
}

function now(info: SegmentInfo): string {
  const { state, value, semaphore } = info;
  const messages = pending(info);
  const facts = [
    ...(state === "live" ? [] : [stateOf(info)]),
    ...(value === undefined ? [] : [value.revision === 0 ? "never set" : `${quote(value.codec)}, ${size(value.size)}`]),
    ...(semaphore === undefined ? [] : [permits(semaphore)]),
    ...(messages === undefined ? [] : [messages]),
  ];
  return facts.length === 0 ? "-" : facts.join(", ");
}
