/** 100,000 mutated inputs in every runtime: nothing but Qt's statuses, each of them met; no exception, no hang. */

import { execFileSync } from "node:child_process";
import { expect, it } from "vitest";
import { printedRandom } from "../support/random.ts";
import { commandOf, RUNTIMES } from "../support/runtimes.ts";

const PROGRAM = new URL("./mutations.ts", import.meta.url).pathname;
const INPUTS = 100_000;
/** Far more than a runtime has when it is idle, far less than one unchecked count would take. */
const MEMORY = 1 << 30;

it.each(RUNTIMES)("mutated inputs end in Qt's statuses, and what is read can be written and read again, in %s", (runtime) => {
  const { seed } = printedRandom(`mutated inputs in ${runtime}`);
  const { command, args } = commandOf(runtime, PROGRAM, [`${INPUTS}`, `${seed}`]);
  const env = { ...process.env, NO_COLOR: "1", TZ: "Europe/Berlin" };
  const { inputs, reading, writing, failures, memory } = JSON.parse(execFileSync(command, [...args], { encoding: "utf8", env }));
  console.log(`${runtime}: ${inputs} mutated inputs; read: ${JSON.stringify(reading)}; written: ${JSON.stringify(writing)}`);
  expect(failures).toEqual([]);
  for (const count of [...Object.values<number>(reading), ...Object.values<number>(writing)]) expect(count).toBeGreaterThan(0);
  expect(Object.values<number>(reading).reduce((a, b) => a + b)).toBe(INPUTS);
  expect(memory).toBeLessThan(MEMORY);
});
