/** README's comparison: what it says about this package is tested, row by row. */

import { describe, expect, it } from "vitest";
import { read } from "./sources.ts";

/** The test that shows a row: its file, and its name as it stands there. */
const SHOWN_BY: Readonly<Record<string, readonly [file: string, name: string]>> = {
  "free at once when its holder is killed": [
    "test/conformance/cases/guard_recovery.ts",
    "a holder that is killed is told of once, to the next one, however that asks",
  ],
  "kept by a holder that is stopped or suspended": [
    "test/processes/guard.test.ts",
    "that is stopped holds it until",
  ],
  "of many starts at one moment exactly one holds": [
    "test/processes/guard.test.ts",
    "one of 50 processes holds it when all ask at the same moment, 20 times",
  ],
  "tells the next one that the last one crashed": [
    "test/conformance/cases/guard_recovery.ts",
    "a holder that is killed is told of once, to the next one, however that asks",
  ],
  "tells who holds it, since when, and what it runs": [
    "test/cli/run.test.ts",
    "is told on one line that names process, start and command; or as JSON",
  ],
  "waits with a time-out": [
    "test/conformance/cases/guard_waits.ts",
    "acquire() is rejected with AlreadyRunningError when time is up, never with TimeoutError, and not before",
  ],
  "waits until an `AbortSignal` aborts": [
    "test/conformance/cases/guard_waits.ts",
    "an abort rejects a wait with the signal's reason in the same turn, and it has left in the same turn too",
  ],
  "children of the holder do not keep it": [
    "test/processes/children.test.ts",
    "a name, its lock and a guard are free when",
  ],
  "tells the holder that its lock was deleted": [
    "test/processes/guard_places.test.ts",
    "fires when the guard's file is",
  ],
  "refuses to run when it cannot guard": [
    "test/processes/guard_places.test.ts",
    "throws when",
  ],
};

/** The rows of the table whose head begins with `| | qshm |`: the first two cells. */
function rows(): [string, string][] {
  const [, table] = read("README.md").split("\n| | qshm |");
  const lines = table!.split("\n").slice(2);
  const end = lines.findIndex((line) => !line.startsWith("|"));
  return lines.slice(0, end).map((line) => {
    const [, what, ours] = line.split("|").map((cell) => cell.trim());
    return [what!, ours!];
  });
}

describe("README's comparison", () => {
  it("has a test for each row", () => {
    expect(rows().map(([what]) => what).sort()).toEqual(Object.keys(SHOWN_BY).sort());
  });

  it.each(rows())("%s: %s", (what) => {
    const [file, name] = SHOWN_BY[what]!;
    expect(read(file)).toContain(name);
  });
});
