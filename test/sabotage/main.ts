/**
 * `npm run sabotage`: builds known defects in, one at a time, and runs the test that must turn red. A defect that stays
 * green means a test that cannot fail, and fails this run.
 *
 *   npm run sabotage -- NAME...       only these
 *   npm run sabotage -- --list        names them, with the test that sees each
 *   npm run sabotage -- --jobs N      how many at a time (default: the processors)
 *
 * Each job works in a copy of the project. First every test runs without a defect; how long it took then tells how long
 * it may take with one: a defect that makes its test hang is seen after ten times as long.
 */

import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import type { Defect } from "./defect.ts";
import { DEFECTS } from "./defects.ts";
import { type Result, testName, Workshop } from "./workshop.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { list: { type: "boolean" }, jobs: { type: "string" } },
});

/** Hands the items out to the workshops, in order. */
async function each<T>(shops: readonly Workshop[], items: readonly T[], f: (shop: Workshop, item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  await Promise.all(shops.map(async (shop) => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await f(shop, item);
  }));
}

function choose(): readonly Defect[] {
  const unknown = positionals.filter((name) => !DEFECTS.some((defect) => defect.name === name));
  if (unknown.length > 0) {
    console.error(`No such defect: ${unknown.join(", ")}; --list names them`);
    process.exit(2);
  }
  return DEFECTS.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
const verdicts = { ok: 0, FAILED: 0, skipped: 0 };

function report(verdict: keyof typeof verdicts, { name, what, test }: Defect, outcome: string, ms: number, evidence = ""): void {
  verdicts[verdict]++;
  console.log(`${verdict.padEnd(7)} ${name.padEnd(31)} ${seconds(ms).padStart(7)}  ${outcome}: ${testName(test)}`);
  if (verdict !== "ok") console.log(`        defect: ${what}`);
  if (evidence !== "") console.log(`        ${evidence}`);
}

async function judge(shop: Workshop, defect: Defect, untouched: Result): Promise<void> {
  const begin = performance.now();
  const spent = (): number => performance.now() - begin;
  if (untouched.end === "skipped") return report("skipped", defect, `cannot run here`, spent(), untouched.evidence);
  if (untouched.end !== "passes") {
    return report("FAILED", defect, `${untouched.end} without the defect too`, spent(), untouched.evidence);
  }
  try {
    const { end, evidence } = await shop.try(defect, untouched.ms);
    if (end === "passes") return report("FAILED", defect, "stays GREEN: it cannot see this", spent());
    report("ok", defect, end, spent(), evidence);
  } catch (error) {
    report("FAILED", defect, "could not be run", spent(), (error as Error).message);
  }
}

const chosen = choose();
if (values.list) {
  for (const { name, what, test } of chosen) console.log(`${name.padEnd(31)} ${what}\n${"".padEnd(31)} -> ${testName(test)}`);
  process.exit();
}

for (const [signal, status] of [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]] as const) {
  process.on(signal, () => process.exit(status)); // what the workshops made is removed on exit
}

const begin = performance.now();
const jobs = Math.max(1, Math.min(Number(values.jobs ?? availableParallelism()), chosen.length));
const first = new Workshop();
const misfits = chosen.filter((defect) => !first.fits(defect));
for (const { name, file, find } of misfits) console.error(`${name}: stands not exactly once in ${file}:\n${find}\n`);
if (misfits.length > 0) process.exit(2);

const tests = new Map(chosen.map(({ test }) => [testName(test), test]));
try {
  await first.prepare([...tests.values()]);
} catch (error) {
  console.error(`Without a defect: ${(error as Error).message}`);
  process.exit(2);
}
const shops = [first, ...Array.from({ length: jobs - 1 }, () => new Workshop(first))];
const untouched = new Map<string, Result>();
await each(shops, [...tests], async (shop, [name, test]) => void untouched.set(name, await shop.run(test)));
console.log(`${tests.size} tests ran without a defect (${seconds(performance.now() - begin)})`);

await each(shops, chosen, (shop, defect) => judge(shop, defect, untouched.get(testName(defect.test))!));
const { ok, FAILED: failed, skipped } = verdicts;
console.log(
  `${ok} of ${chosen.length} defects turn their test red, ${failed} do not, ${skipped} skipped (${seconds(performance.now() - begin)})`,
);
process.exit(failed === 0 ? 0 : 1);
