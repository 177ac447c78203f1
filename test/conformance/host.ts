/** Runs the suites named on the command line, or all, in whatever runtime this is; one JSON line a case. */

import type { Case } from "./case.ts";
import { suites } from "./suites.ts";

const [permissions, ...names] = process.argv.slice(2);

async function outcome({ run }: Case): Promise<string | null> {
  try {
    await run();
    return null;
  } catch (error) {
    return error instanceof Error ? error.stack ?? String(error) : String(error);
  }
}

for (const { name: suite, cases } of suites.filter(({ name }) => names.length === 0 || names.includes(name))) {
  for (const testCase of cases) {
    if (permissions === "sandbox" && testCase.needs !== undefined) continue;
    console.log(JSON.stringify({ suite, name: testCase.name, error: await outcome(testCase) }));
  }
}
