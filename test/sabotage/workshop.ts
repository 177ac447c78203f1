/** A copy of the project in which defects are built in, and tests run. */

import { execFileSync, spawn } from "node:child_process";
import { chmodSync, cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename } from "node:path";
import { ROOT } from "../support/runtimes.ts";
import type { Defect, Test } from "./defect.ts";

/** How a test ended. */
export interface Result {
  readonly end: "passes" | "fails" | "hangs" | "skipped";
  readonly ms: number;
  /** The line that says why, if there is one. */
  readonly evidence: string;
}

/** A test's name, for people. */
export function testName(test: Test): string {
  return "c" in test ? test.c : `${basename(test.file)}, "${test.name}"`;
}

const groups = new Set<number>();
const places = new Set<string>();

process.on("exit", () => {
  for (const group of groups) kill(group);
  for (const place of places) rmSync(place, { recursive: true, force: true });
});

function kill(group: number): void {
  try {
    process.kill(-group, "SIGKILL");
  } catch {
    // gone
  }
}

function makePlace(prefix: string): string {
  const place = mkdtempSync(prefix);
  places.add(place);
  return place;
}

function removePlace(place: string): void {
  rmSync(place, { recursive: true, force: true });
  places.delete(place);
}

interface Ended {
  readonly code: number | null; // null: ended by a signal
  readonly output: string;
  readonly hung: boolean;
}

/** Runs a program in a process group of its own, of which nothing is left afterwards. */
function execute(cwd: string, limit: number, env: Record<string, string>, command: string, ...args: string[]): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd,
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, NO_COLOR: "1", ...env },
    });
    child.on("error", reject);
    if (child.pid === undefined) return;
    const group = child.pid;
    groups.add(group);
    let output = "";
    let hung = false;
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => output += text);
    const watchdog = setTimeout(() => {
      hung = true;
      kill(group);
    }, limit);
    child.on("exit", (code) => {
      clearTimeout(watchdog);
      kill(group);
      groups.delete(group);
      child.on("close", () => resolve({ code, output, hung }));
    });
  });
}

const BUILD_LIMIT = 300_000;
const UNTOUCHED_LIMIT = 120_000;
const SHORTEST_LIMIT = { c: 5_000, ts: 15_000 };

export class Workshop {
  readonly #place: string;

  /** Copies the project as it is now, or another workshop with all that was built there. */
  constructor(like?: Workshop) {
    this.#place = makePlace(`${tmpdir()}/qshm-sabotage-`);
    chmodSync(this.#place, 0o755); // some tests become another user
    if (like !== undefined) {
      cpSync(like.#place, this.#place, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true });
      return;
    }
    const files = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], { cwd: ROOT, encoding: "utf8" });
    for (const file of files.split("\0").filter((name) => name !== "")) {
      try {
        cpSync(ROOT + file, `${this.#place}/${file}`);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error; // deleted, and not yet committed so
      }
    }
    symlinkSync(`${ROOT}node_modules`, `${this.#place}/node_modules`);
  }

  /** Does the defect's text stand exactly once in its file? */
  fits({ file, find }: Defect): boolean {
    return readFileSync(`${this.#place}/${file}`, "utf8").split(find).length === 2;
  }

  /** Builds what these tests need. */
  async prepare(tests: readonly Test[]): Promise<void> {
    await this.#make([...new Set(tests.flatMap(targetsOf))]);
  }

  /** Runs a test as the sources are. */
  async run(test: Test, limit = UNTOUCHED_LIMIT): Promise<Result> {
    const begin = performance.now();
    const result = "c" in test ? await this.#runCase(test.c, limit) : await this.#runVitest(test.file, test.name, limit);
    return { ...result, ms: performance.now() - begin };
  }

  /** Builds a defect in, runs its test, and takes it out. */
  async try({ file, find, replace, test }: Defect, untouched: number): Promise<Result> {
    const path = `${this.#place}/${file}`;
    const source = readFileSync(path, "utf8");
    writeFileSync(path, source.replace(find, () => replace));
    try {
      await this.#make(targetsOf(test));
      return await this.run(test, Math.max(SHORTEST_LIMIT["c" in test ? "c" : "ts"], 10 * untouched));
    } finally {
      writeFileSync(path, source);
    }
  }

  async #make(targets: readonly string[]): Promise<void> {
    // Defects leave things unused; that is no reason not to compile them.
    const { code, output } = await execute(
      this.#place, BUILD_LIMIT, {}, "make", "-s", "-j2", "-C", "c", "WARN=-std=c11 -w", ...targets,
    );
    if (code !== 0) throw new Error(`does not compile: ${output}`);
  }

  /** As the tests' runner does it, but without its generous watchdog. */
  async #runCase(name: string, limit: number): Promise<Omit<Result, "ms">> {
    const directory = makePlace("/dev/shm/qshm-sabotage-");
    const env = { QSHM_DIRECTORY: directory, QSHM_TEST_DIRECTORY: directory, QSHM_TEST_ABI: `${this.#place}/c/build/abi` };
    const { code, output, hung } = await execute(`${this.#place}/c`, limit, env, "build/check/tests", name);
    removePlace(directory);
    if (output.includes("no such case")) throw new Error(`No such case: ${name}`);
    if (code === 77) return { end: "skipped", evidence: output.trim() };
    const evidence = /^test\/\S+\.c:\d+: .*$/m.exec(output)?.[0] ?? lastLine(output);
    return { end: hung ? "hangs" : code === 0 ? "passes" : "fails", evidence: hung || code === 0 ? "" : evidence };
  }

  async #runVitest(file: string, name: string, limit: number): Promise<Omit<Result, "ms">> {
    const env = { QSHM_CASE: name.split(" > ").at(-1)! }; // the conformance suites then run only this
    const pattern = name.replace(/[$()*+.?[\\\]^{|}]/g, "\\$&");
    const { code, output, hung } = await execute(
      this.#place, limit, env, "node_modules/.bin/vitest", "run", "--config", "test/vitest.config.ts", file, "-t", pattern,
    );
    const [, passed, failed, skipped] = /^(\d+) passed, (\d+) failed, (\d+) skipped$/m.exec(output) ?? [];
    if (!hung && passed === "0" && failed === "0") throw new Error(`No such test among ${skipped} in ${file}: ${name}`);
    const evidence = /^.*\b(Assertion)?Error\b.*$/m.exec(output)?.[0].trim() ?? lastLine(output);
    return { end: hung ? "hangs" : code === 0 ? "passes" : "fails", evidence: hung || code === 0 ? "" : evidence.slice(0, 160) };
  }
}

function targetsOf(test: Test): string[] {
  if ("c" in test) return ["build/check/tests", ...(test.c.startsWith("abi_") ? ["abi"] : [])];
  return ["all", "testlib"];
}

function lastLine(output: string): string {
  return output.trimEnd().split("\n").at(-1)?.trim() ?? "";
}
