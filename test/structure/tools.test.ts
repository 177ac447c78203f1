/** What the languages' own tools say of the sources. */

import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { ROOT } from "../support/runtimes.ts";

const execute = promisify(execFile);

/** Runs a tool of node_modules; gives "" if it is content, else what it printed. */
async function complaints(tool: string, ...args: string[]): Promise<string> {
  const cache = mkdtempSync(`${tmpdir()}/qshm-tools-`);
  try {
    await execute(`${ROOT}node_modules/.bin/${tool}`, args, {
      cwd: ROOT,
      env: { ...process.env, DENO_DIR: cache, NO_COLOR: "1" },
    });
    return "";
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string };
    return `${stdout}${stderr}` || String(error);
  } finally {
    rmSync(cache, { recursive: true, force: true });
  }
}

describe("tools", () => {
  it("tsc has no complaint", async () => {
    expect(await complaints("tsc", "-p", "tsconfig.build.json", "--noEmit")).toBe("");
  });

  it("deno check has no complaint", async () => {
    expect(await complaints("deno", "check", "mod.ts")).toBe("");
  });

  it("deno lint has no complaint", async () => {
    expect(await complaints("deno", "lint")).toBe("");
  });

  it("deno doc --lint has no complaint", async () => {
    expect(await complaints("deno", "doc", "--lint", "mod.ts")).toBe("");
  });

  it("deno publish --dry-run finds no slow types", async () => {
    expect(await complaints("deno", "publish", "--dry-run", "--allow-dirty")).toBe("");
  });
});
