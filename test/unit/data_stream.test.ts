/** QDataStream needs no library and no permission. */

import { describe, expect, it } from "vitest";
import { commandOf, ROOT, RUNTIMES } from "../support/runtimes.ts";
import { program, run } from "./run.ts";

const SAID = { status: 0, stdout: "text int 5 0 true\n", stderr: "" };

describe("QDataStream", () => {
  it.each(RUNTIMES)("works where there is no library, in %s", (runtime) => {
    expect(run(commandOf(runtime, program("data_stream")), { QSHM_LIBRARY: "/nonexistent" })).toEqual(SAID);
  });

  it.skipIf(!RUNTIMES.includes("deno"))("works in Deno with everything denied, ffi too", () => {
    const denied = ["read", "write", "env", "net", "run", "sys", "ffi"].map((name) => `--deny-${name}`);
    const args = ["run", "--no-check", "--quiet", "--no-prompt", ...denied, program("data_stream")];
    expect(run({ command: `${ROOT}node_modules/.bin/deno`, args })).toEqual(SAID);
  });
});
