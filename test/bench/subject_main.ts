/** A process of a runtime: runs the cases of one file in `rows/`. See `host.ts` for the protocol. */

import { createInterface } from "node:readline";
import process from "node:process";
import type { Case, CaseFactory } from "./row.ts";

const { cases }: { cases: Readonly<Record<string, CaseFactory>> } = await import(`./rows/${process.argv[2]}.ts`);
const prepared = new Map<string, Case>();

async function time(name: string, count: number): Promise<number> {
  const factory = cases[name];
  if (factory === undefined) throw new Error(`Unknown case: ${name}`);
  const run = prepared.get(name) ?? await factory();
  prepared.set(name, run);
  if (count === 0) return 0;
  const start = performance.now();
  const result = run(count);
  const own = result instanceof Promise ? await result : result;
  return own ?? (performance.now() - start) * 1e6;
}

for await (const line of createInterface({ input: process.stdin })) {
  const [name, count] = line.split(" ");
  const answer = await time(name!, Number(count)).catch((error: unknown) => `${error}`.replaceAll("\n", " "));
  process.stdout.write(`${answer}\n`);
}
process.exit(0);
