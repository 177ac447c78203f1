/** Single-file executables that `bun build --compile` makes of a program with qshm in it, run where nothing else is. */

import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { testDirectory } from "../support/directory.ts";
import { commandOf, ROOT, RUNTIMES } from "../support/runtimes.ts";
import { installPackage, programOf } from "../support/shipped.ts";
import { because, SKIPS } from "../support/skips.ts";

const run = promisify(execFile);
const place = mkdtempSync("/var/tmp/qshm-executable-"); // not in /tmp, which gets lost under a mount
let last = 0;

interface Outcome {
  readonly libraries?: readonly string[];
  readonly name?: string;
  readonly error?: string;
}

/** Runs an executable in an empty directory, with nothing in its environment but `env`; `before` is a shell command. */
async function start(executable: string, env: Readonly<Record<string, string>>, before?: string): Promise<Outcome> {
  using directory = testDirectory();
  const cwd = `${place}/empty-${last++}`;
  mkdirSync(cwd);
  const options = { cwd, env: { ...env, QSHM_DIRECTORY: directory.path } };
  const [command, ...args] = before === undefined
    ? [executable]
    : ["/usr/bin/env", "unshare", "-m", "/bin/sh", "-c", `PATH=/usr/sbin:/usr/bin:/sbin:/bin; ${before} && exec "$1"`, "sh", executable];
  const { stdout, stderr } = await run(command!, args, options);
  expect(stderr).toBe("");
  expect(readdirSync(cwd)).toEqual([]);
  return JSON.parse(stdout) as Outcome;
}

function temporary(): string {
  const path = `${place}/tmp-${last++}`;
  mkdirSync(path);
  return path;
}

afterAll(() => rmSync(place, { recursive: true, force: true }));

const FORMS = [["a checkout", []], ["the package", []], ["a checkout", ["--bytecode"]], ["the package", ["--bytecode", "--minify"]]] as const;

describe.skipIf(!RUNTIMES.includes("bun")).each(FORMS)("an executable that Bun makes of %s %j", (from, flags) => {
  const name = `${from.replaceAll(" ", "-")}${flags.join("")}`;
  const executable = `${place}/${name}.exe`;

  beforeAll(async () => {
    const folder = `${place}/${name}`;
    mkdirSync(folder);
    if (from === "the package") installPackage(folder);
    writeFileSync(`${folder}/program.ts`, programOf(from === "the package" ? "qshm" : `${ROOT}mod.ts`));
    await run(commandOf("bun", "").command, ["build", "--compile", ...flags, "program.ts", "--outfile", executable], { cwd: folder });
    rmSync(folder, { recursive: true });
  });

  it("runs without HOME, node_modules and everything else, and unpacks one file, also the second time", async () => {
    const TMPDIR = temporary();
    const { libraries } = await start(executable, { TMPDIR });
    const files = readdirSync(TMPDIR);
    expect(files.length).toBe(1);
    expect(libraries).toEqual([`${TMPDIR}/${files[0]}`]);
    expect(statSync(`${TMPDIR}/${files[0]}`).mode & 0o777).toBe(0o600);
    const { ino, mtimeMs } = statSync(`${TMPDIR}/${files[0]}`);
    expect((await start(executable, { TMPDIR })).libraries).toEqual(libraries);
    expect(readdirSync(TMPDIR)).toEqual(files);
    expect(statSync(`${TMPDIR}/${files[0]}`)).toMatchObject({ ino, mtimeMs });
  });

  it("takes along the library of its own platform alone", async () => {
    const { stdout } = await run("grep", ["-a", "-o", "\\$bunfs/root/linux-[a-z0-9]*", executable]);
    expect(new Set(stdout.trim().split("\n"))).toEqual(new Set([`$bunfs/root/linux-${process.arch}`]));
  });

  it.skipIf(SKIPS.root)(because("runs where HOME is read-only", SKIPS.root), async () => {
    const [HOME, TMPDIR] = [temporary(), temporary()];
    const { libraries } = await start(executable, { HOME, TMPDIR }, `mount -t tmpfs -o ro tmpfs ${HOME}`);
    expect(libraries?.length).toBe(1);
    expect(readdirSync(TMPDIR).length).toBe(1);
  });

  it.skipIf(SKIPS.root)(because("says what to do where nothing in /tmp may be run, and that helps", SKIPS.root), async () => {
    const noexec = "mount -t tmpfs -o noexec tmpfs /tmp";
    const { name, error } = await start(executable, {}, noexec);
    expect(name).toBe("LibraryError");
    expect(error).toContain("/tmp/.bun-");
    expect(error).toMatch(/is the file system mounted noexec\?.*let TMPDIR name a directory where files may be made and run/);
    expect((await start(executable, { TMPDIR: temporary() }, noexec)).libraries?.length).toBe(1);
  });

  it.skipIf(SKIPS.root)(because("says so, too, where /tmp is read-only", SKIPS.root), async () => {
    const { name, error } = await start(executable, {}, "mount -t tmpfs -o ro tmpfs /tmp");
    expect(name).toBe("LibraryError");
    expect(error).toContain("let TMPDIR name a directory where files may be made and run");
  });

  it("obeys QSHM_LIBRARY", async () => {
    const { error } = await start(executable, { TMPDIR: temporary(), QSHM_LIBRARY: "/nonexistent/qshm.so" });
    expect(error).toContain(`Tried: "/nonexistent/qshm.so": `);
    expect(error).not.toContain("$bunfs");
  });
});
