/** What Deno needs to be granted, and what is said when it is not. */

import { describe, expect, it } from "vitest";
import { LIBRARY, ROOT, RUNTIMES, sandboxedDeno, TEST_LIBRARY } from "../support/runtimes.ts";
import { program, report, run } from "./run.ts";

const command = `${ROOT}node_modules/.bin/deno`;
const deno = (flags: readonly string[], ...args: string[]) => ({
  command,
  args: ["run", "--no-check", "--quiet", "--no-prompt", ...flags, program("use"), "some-key", ...args],
});

describe.skipIf(!RUNTIMES.includes("deno"))("in Deno", () => {
  it("create() without a permission throws LibraryError that names the flag", () => {
    const error = report(deno([]));
    expect(error).toMatchObject({ ok: false, name: "LibraryError", code: "LibraryNotLoaded", operation: "create" });
    expect(error.message).toBe(`Cannot load "${LIBRARY}": run Deno with --allow-ffi=${LIBRARY}`);
  });

  it("create() works with exactly the flag that the error names, and every other permission denied", () => {
    const [, flag] = /run Deno with (--allow-ffi=\S+)/.exec(report(deno([])).message)!;
    const denied = ["read", "write", "env", "net", "run", "sys"].map((name) => `--deny-${name}`);
    expect(report(deno([...denied, flag!])).ok).toBe(true);
  });

  it("create() with the flag for another file throws LibraryError that names the right one", () => {
    const error = report(deno([`--allow-ffi=${TEST_LIBRARY}`]));
    expect(error.message).toContain(`--allow-ffi=${LIBRARY}`);
  });

  it("QSHM_LIBRARY is named as it was given, where it may be read, and is not asked for where it may not", () => {
    const given = `${ROOT}c/../c/build/test/qshm.so`;
    const error = report(deno(["--allow-env=QSHM_LIBRARY"]), { QSHM_LIBRARY: given });
    expect(error.message).toContain(`--allow-ffi=${given}`);
    expect(report(deno(["--allow-env=QSHM_LIBRARY", `--allow-ffi=${given}`]), { QSHM_LIBRARY: given }).ok).toBe(true);
    expect(report(deno([`--allow-ffi=${LIBRARY}`]), { QSHM_LIBRARY: "/nonexistent/qshm.so" }).ok).toBe(true);
  });

  it("data with --allow-ffi=<library> alone throws an error that says what it needs; with --allow-ffi it works", () => {
    const error = report(sandboxedDeno(program("use"), ["some-key", "data"]));
    expect(error.ok).toBe(false);
    expect(error.message).toContain("--allow-ffi");
    expect(report(deno(["--allow-ffi"], "data")).ok).toBe(true);
  });

  it("nothing is printed and nobody is asked, with a prompt possible or not", () => {
    for (const flags of [["--no-prompt"], []]) {
      const { status, stdout, stderr } = run({
        command,
        args: ["run", "--no-check", "--quiet", ...flags, program("import_only")],
      });
      expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: "", stderr: "" });
    }
  });
});
