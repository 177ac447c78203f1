/**
 * Runs cases in whatever runtime this is; one JSON line a case. Arguments: "all", or "sandbox" for those that need no
 * permission; a suite (default: all); a case of it (default: all).
 */

import type { Case } from "./case.ts";
import { suites } from "./suites.ts";

const [permissions, chosenSuite, chosenCase] = process.argv.slice(2);

async function outcome({ run }: Case): Promise<string | null> {
  try {
    await run();
    return null;
  } catch (error) {
    return error instanceof Error ? error.stack ?? String(error) : String(error);
  }
}

for (const { name: suite, cases } of suites.filter(({ name }) => chosenSuite === undefined || name === chosenSuite)) {
  for (const testCase of cases.filter(({ name }) => chosenCase === undefined || name === chosenCase)) {
    if (permissions === "sandbox" && testCase.needs !== undefined) continue;
    console.log(JSON.stringify({ suite, name: testCase.name, error: await outcome(testCase) }));
  }
}
