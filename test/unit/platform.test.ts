/** Platforms and runtimes that are not supported: said at first use, not at import. */

import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { commandOf, LIBRARY, ROOT, RUNTIMES } from "../support/runtimes.ts";
import { because } from "../support/skips.ts";
import { program, report, run } from "./run.ts";

const UNSUPPORTED = {
  ok: false,
  name: "UnsupportedPlatformError",
  code: "Unsupported",
  operation: "create",
  classes: ["QshmError", "UnsupportedPlatformError"],
};

for (const runtime of RUNTIMES) {
  describe(`in ${runtime}`, () => {
    const command = commandOf(runtime, program("other_platform"));

    it("create() throws UnsupportedPlatformError that names the platform; importing succeeds", () => {
      expect(run(command).stdout).toMatch(/^imported\n/);
      const error = report(command);
      expect(error).toMatchObject(UNSUPPORTED);
      expect(error.message).toContain("No library for this platform: sunos-sparc");
    });

    it("QSHM_LIBRARY may name a library that somebody built for it", () => {
      expect(report(command, { QSHM_LIBRARY: LIBRARY }).ok).toBe(true);
    });
  });
}

describe("in a Node without node:ffi", () => {
  it("create() throws UnsupportedPlatformError that names versions and alternatives; importing is silent", () => {
    const node = commandOf("node", program("use"));
    const without = (name: string) => ({ ...node, args: ["--no-experimental-ffi", program(name)] });
    expect(run(without("import_only"))).toEqual({ status: 0, stdout: "", stderr: "" });
    const error = report(without("use"));
    expect(error).toMatchObject(UNSUPPORTED);
    expect(error.message).toMatch(/Node 26\.\d+\.\d+.*use Node 26\.9 or newer.*--experimental-ffi.*Deno, or Bun/);
  });

  const old = ["/usr/bin/node", "/usr/local/bin/node"].find((path) => {
    const { status, stdout } = spawnSync(path, ["--version"], { encoding: "utf8" });
    return status === 0 && /^v2[0-5]\./.test(stdout);
  });
  const reason = old === undefined ? "no older Node is installed" : undefined;

  it.skipIf(reason)(because("create() throws UnsupportedPlatformError in an older Node as well", reason), () => {
    const loader = ["--import", `${ROOT}node_modules/tsx/dist/esm/index.mjs`];
    expect(run({ command: old!, args: [...loader, program("import_only")] })).toEqual({
      status: 0,
      stdout: "",
      stderr: "",
    });
    const error = report({ command: old!, args: [...loader, program("use")] });
    expect(error).toMatchObject(UNSUPPORTED);
    expect(error.message).toMatch(/this runtime \(Node 2\d\.\d+\.\d+\)/);
  });
});
