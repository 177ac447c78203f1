/**
 * The table as a picture: a panel for each group with the runtimes side by side, a line for each row with our time and the
 * rival's on a logarithmic scale, and the target. It has its own background, so it can be read on light and dark pages.
 */

import * as Plot from "@observablehq/plot";
import { JSDOM } from "jsdom";
import type { Results } from "./results.ts";
import { type Line, shortTime } from "./table.ts";

const WIDTH = 900;
const MARGIN = { left: 320, right: 24, top: 5, bottom: 16 } as const;
/** Room for the runtimes' names, over the first panel. */
const NAMES = 16;
const ROW_HEIGHT = 13;
const HEADER = 74;
const PANEL_TITLE = 16;
const FOOTER = 24;
const COLORS = {
  background: "#ffffff",
  text: "#1f2328",
  faint: "#d0d7de",
  ours: "#0969da",
  missed: "#cf222e",
  rival: "#bc6c00",
} as const;
const FONT = "system-ui, sans-serif";

const { window } = new JSDOM("");
const { document } = window;

/** A mark on the scale: a short upright line. */
const upright: Plot.SymbolType = { draw: (context, size) => context.rect(-0.75, -Math.sqrt(size), 1.5, 2 * Math.sqrt(size)) };

/** Our time if the target is just reached. */
function targetTime({ target, rival }: Line): number | undefined {
  if (target === undefined) return undefined;
  return target.of === "ours" ? target.limit : rival && rival.median * target.limit;
}

/** Differences that are below nothing have no logarithm: they are noise. */
const isDrawable = (line: Line): boolean => line.ours.median > 0;

/** The names of all rows, in order; some are not there in every runtime. */
function rowsOf(lines: readonly Line[]): readonly string[] {
  const rows: string[] = [];
  let last = -1;
  for (const { row } of lines) {
    const known = rows.indexOf(row);
    if (known < 0) rows.splice(last + 1, 0, row);
    last = known < 0 ? last + 1 : known;
  }
  return rows;
}

/** The powers of ten from below the lowest to above the highest time. */
function decades(times: readonly number[]): readonly number[] {
  const first = Math.floor(Math.log10(Math.min(...times)));
  const last = Math.ceil(Math.log10(Math.max(...times)));
  return Array.from({ length: last - first + 1 }, (_, i) => 10 ** (first + i));
}

function panel(lines: readonly Line[], runtimes: readonly string[], isFirst: boolean): { svg: Element; height: number } {
  const rows = rowsOf(lines);
  const top = MARGIN.top + (isFirst ? NAMES : 0);
  const height = rows.length * ROW_HEIGHT + top + MARGIN.bottom;
  const place = { y: "row", fx: "runtime" } as const;
  const drawn = lines.filter(isDrawable);
  const withRival = drawn.filter(({ rival }) => rival !== undefined && rival.median > 0);
  const withTarget = drawn.filter((line) => (targetTime(line) ?? 0) > 0);
  const ours = (line: Line): number => line.ours.median;
  const rivals = (line: Line): number => line.rival!.median;
  const scale = decades([...drawn.map(ours), ...withRival.map(rivals), ...withTarget.map((line) => targetTime(line)!)]);
  const ticks = scale.filter((_, i) => scale.length < 6 || i % 2 === 0);
  const svg = Plot.plot({
    document,
    width: WIDTH,
    height,
    marginLeft: MARGIN.left,
    marginRight: MARGIN.right,
    marginTop: top,
    marginBottom: MARGIN.bottom,
    style: { fontFamily: FONT, fontSize: "10px", color: COLORS.text, background: COLORS.background },
    x: { type: "log", domain: [scale[0]!, scale.at(-1)!], label: null, axis: null },
    y: { type: "point", domain: rows, padding: 0.5, label: null, tickSize: 0 },
    fx: { domain: runtimes, label: null, padding: 0.16, axis: isFirst ? "top" : null },
    marks: [
      Plot.gridX(scale, { stroke: COLORS.faint, strokeOpacity: 1 }),
      Plot.axisX(ticks, { tickSize: 0, tickFormat: shortTime, fontSize: 9 }),
      Plot.ruleY(withRival, { ...place, x1: ours, x2: rivals, stroke: COLORS.faint, strokeWidth: 2 }),
      Plot.dot(withTarget, { ...place, x: targetTime, symbol: upright, r: 4, fill: COLORS.text }),
      Plot.dot(withRival, { ...place, x: rivals, symbol: "diamond", r: 3, stroke: COLORS.rival, fill: COLORS.background }),
      Plot.dot(drawn, {
        ...place,
        x: ours,
        r: 3,
        fill: (d: Line) => (d.verdict === "MISSED" ? COLORS.missed : COLORS.ours),
      }),
    ],
  });
  return { svg, height };
}

function element(name: string, attributes: Readonly<Record<string, string | number>>, text?: string): Element {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, `${value}`);
  if (text !== undefined) made.textContent = text;
  return made;
}

function legend(): readonly Element[] {
  const entries = [
    { text: "qshm", shape: element("circle", { r: 4, fill: COLORS.ours }) },
    { text: "qshm, target missed", shape: element("circle", { r: 4, fill: COLORS.missed }) },
    { text: "rival", shape: element("path", { d: "M0,-5L3.5,0L0,5L-3.5,0Z", fill: "none", stroke: COLORS.rival }) },
    { text: "target: qshm at or left of it", shape: element("rect", { x: -0.75, y: -5, width: 1.5, height: 10 }) },
  ];
  return entries.flatMap(({ text, shape }, i) => {
    const x = 20 + [0, 70, 220, 285][i]!;
    shape.setAttribute("transform", `translate(${x},54)`);
    return [shape, element("text", { x: x + 10, y: 58 }, text)];
  });
}

/** Draws what was measured; gives the text of an SVG file. */
export function draw({ lines, machine, versions }: Results): string {
  const runtimes = Object.keys(versions);
  const groups = [...new Set(lines.map(({ group }) => group))];
  const parts: Element[] = [
    element("text", { x: 14, y: 24, "font-size": 16, "font-weight": "bold" }, "Time for one operation, in each runtime"),
    element("text", { x: 14, y: 40 }, "Medians on a logarithmic scale: further left is faster. A row is ours / rival, measured together."),
    ...legend(),
  ];
  let y = HEADER;
  for (const [i, group] of groups.entries()) {
    const { svg, height } = panel(lines.filter((line) => line.group === group), runtimes, i === 0);
    svg.querySelector("style")?.remove();
    svg.setAttribute("y", `${y + PANEL_TITLE}`);
    parts.push(svg, element("text", { x: 14, y: y + PANEL_TITLE, "font-size": 12, "font-weight": "bold" }, group));
    y += PANEL_TITLE + height;
  }
  const measured = Object.entries(versions).map(([name, version]) => `${name} ${version}`).join(", ");
  parts.push(element("text", { x: 14, y: y + FOOTER - 10, "font-size": 9 }, `Measured with ${measured}; ${machine}`));
  const height = y + FOOTER;
  const size = { width: WIDTH, height, viewBox: `0 0 ${WIDTH} ${height}` };
  const svg = element("svg", { ...size, "font-family": FONT, "font-size": 11, fill: COLORS.text });
  svg.append(element("rect", { width: WIDTH, height, fill: COLORS.background }), ...parts);
  const text = new window.XMLSerializer().serializeToString(svg);
  return `${text.replace(/="[^"]*"/g, (value) => value.replace(/(\.\d)\d+/g, "$1"))}\n`;
}
