/** `npm run demo` does what it promises. */

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { ROOT } from "../support/runtimes.ts";

it("the demo exits 0, and every step came out as promised", async () => {
  const { stdout } = await promisify(execFile)(`${ROOT}node_modules/.bin/tsx`, [`${ROOT}test/demo/main.ts`]);
  const lines = stdout.trim().split("\n");
  expect(lines.filter((line) => !line.startsWith("ok "))).toEqual([]);
  expect(lines.length).toBe(23);
});
