/**
 * `npm run sabotage`: builds known defects in, one at a time, and runs the test that must turn red. A defect that stays
 * green means a test that cannot fail, and fails this run. `npm run sabotage -- NAME...` limits it; `--list` lists.
 */

import { execFile, execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { parseArgs, promisify } from "node:util";
import { ROOT } from "../support/runtimes.ts";
import { type Defect, DEFECTS } from "./defects.ts";

const execute = promisify(execFile);
const { values, positionals } = parseArgs({ allowPositionals: true, options: { list: { type: "boolean" } } });

const copy = mkdtempSync(`${tmpdir()}/qshm-sabotage-`);
process.on("exit", () => rmSync(copy, { recursive: true, force: true }));
process.on("SIGINT", () => process.exit(130));

function copyProject(): void {
  const files = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], { cwd: ROOT, encoding: "utf8" });
  for (const file of files.split("\n").filter((name) => name !== "")) cpSync(ROOT + file, `${copy}/${file}`);
  symlinkSync(`${ROOT}node_modules`, `${copy}/node_modules`);
}

/** Puts the defect in; gives what takes it out. */
function sabotage({ name, file, find, replace }: Defect): () => void {
  const path = `${copy}/${file}`;
  const source = readFileSync(path, "utf8");
  if (source.split(find).length !== 2) throw new Error(`"${name}" must match ${file} exactly once: ${find}`);
  writeFileSync(path, source.replace(find, () => replace));
  return () => writeFileSync(path, source);
}

async function run(command: string, ...args: string[]): Promise<{ ok: boolean; output: string }> {
  try {
    const { stdout, stderr } = await execute(command, args, { cwd: copy, maxBuffer: 1 << 26, env: { ...process.env, NO_COLOR: "1" } });
    return { ok: true, output: stdout + stderr };
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: string; stderr?: string };
    return { ok: false, output: `${stdout ?? ""}${stderr ?? String(error)}` };
  }
}

async function build(): Promise<void> {
  const { ok, output } = await run("make", "-s", "-C", "c", "all", "testlib", "build/check/tests", "abi");
  if (!ok) throw new Error(`The sabotaged library does not compile:\n${output}`);
}

/** Runs the defect's test: `true` if it passes. */
async function passes({ test }: Defect): Promise<boolean> {
  if ("c" in test) {
    const { ok, output } = await run("make", "-s", "-C", "c", "check", `CASES=${test.c}`);
    if (!/^(not )?ok /m.test(output)) throw new Error(`No such case: ${test.c}\n${output}`);
    return ok;
  }
  const { ok, output } = await run(
    "node_modules/.bin/vitest", "run", "--config", "test/vitest.config.ts", test.file, "-t", test.name,
  );
  if (!/ [1-9]\d* (passed|failed)/.test(output)) throw new Error(`No such test: ${test.name}\n${output}`);
  return ok;
}

const chosen = DEFECTS.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
if (values.list) {
  for (const { name, what } of chosen) console.log(`${name}: ${what}`);
  process.exit();
}

copyProject();
await build();
const untouched = new Map<string, boolean>();
let green = 0;
for (const defect of chosen) {
  const test = "c" in defect.test ? defect.test.c : defect.test.name;
  if (!untouched.has(test)) untouched.set(test, await passes(defect));
  const restore = sabotage(defect);
  await build();
  const red = !await passes(defect);
  restore();
  await build();
  const sound = red && untouched.get(test) === true;
  if (!sound) green++;
  const verdict = sound ? "red" : red ? "red, but red without the defect too" : "GREEN: the test cannot see it";
  console.log(`${sound ? "ok    " : "FAILED"} ${defect.name} (${defect.what}): "${test}" is ${verdict}`);
}
console.log(`${chosen.length - green} of ${chosen.length} defects turn their test red`);
process.exitCode = green === 0 ? 0 : 1;
