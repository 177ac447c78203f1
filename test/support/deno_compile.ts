/** What `deno compile` takes along. */

import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { promisify } from "node:util";
import { commandOf } from "./runtimes.ts";

const run = promisify(execFile);

/**
 * What it says that it embeds. The binary that it puts this into, denort, is fetched from the project's own site; here Deno's
 * own stands in for it, and what comes out is not run.
 */
export async function embeddedFiles(cwd: string, cache: string, ...args: readonly string[]): Promise<string> {
  const { command } = commandOf("deno", "");
  const place = mkdtempSync(`${tmpdir()}/qshm-compiled-`);
  try {
    const { stdout: binary } = await run(command, ["eval", "console.log(Deno.execPath())"]);
    const { stderr } = await run(command, ["compile", "-A", "--no-check", "--output", `${place}/compiled`, ...args], {
      cwd,
      env: { ...process.env, NO_COLOR: "1", DENO_DIR: cache, DENORT_BIN: binary.trim() },
    });
    return stderr;
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}
