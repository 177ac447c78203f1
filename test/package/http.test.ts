/** Deno imports the package over HTTP, as it does from JSR: the library comes along, and is kept in a cache. */

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { embeddedFiles } from "../support/deno_compile.ts";
import { testDirectory } from "../support/directory.ts";
import { commandOf, LIBRARY, ROOT, RUNTIMES } from "../support/runtimes.ts";
import { because, SKIPS } from "../support/skips.ts";

const run = promisify(execFile);
const place = mkdtempSync(`${tmpdir()}/qshm-http-`);
const published = `${place}/published`;
const TYPES: Readonly<Record<string, string>> = { ".ts": "application/typescript", ".json": "application/json" };

/** What was asked for in vain. */
const missed: string[] = [];

/** Serves what is published, and under `/checkout` the checkout. */
const server = createServer(({ url }, response) => {
  const path = url!.startsWith("/checkout/") ? ROOT + url!.slice("/checkout/".length) : join(published, url!);
  const type = TYPES[extname(path)];
  if (type === undefined || !existsSync(path)) {
    missed.push(url!);
    return response.writeHead(404).end();
  }
  response.writeHead(200, { "content-type": type }).end(readFileSync(path));
});

let origin = "";
let home = "";
const cache = (): string => `${home}/.cache/qshm`;
const copy = (): string => `${cache()}/${createHash("sha256").update(readFileSync(LIBRARY)).digest("hex")}.so`;
const isGood = (path: string): boolean => readFileSync(path).equals(readFileSync(LIBRARY));

/** Runs a program that takes a guard; gives the error's name and message, if there is one. */
async function use(flags: readonly string[], { module = "/mod.ts", env = {} }: { module?: string; env?: Record<string, string> } = {}) {
  using directory = testDirectory();
  const program = `${place}/use${module.replaceAll("/", "-")}`;
  writeFileSync(
    program,
    `import { SingleInstance } from "${origin}${module}";
    const report: Record<string, unknown> = {};
    try {
      using _guard = SingleInstance.tryAcquire("http");
    } catch (error) {
      Object.assign(report, { name: error.name, error: error.message });
    }
    console.log(JSON.stringify(report));`,
  );
  const { command } = commandOf("deno", "");
  const imports = flags.includes("-A") ? [] : [`--allow-import=${origin.slice("http://".length)}`];
  const args = ["run", "--no-check", "--quiet", "--no-prompt", ...imports, ...flags, program];
  const { XDG_CACHE_HOME: _, ...rest } = process.env;
  const { stdout, stderr } = await run(command, args, {
    cwd: place,
    env: { ...rest, NO_COLOR: "1", HOME: home, DENO_DIR: `${place}/deno`, QSHM_DIRECTORY: directory.path, ...env },
  });
  expect(stderr).toBe("");
  return JSON.parse(stdout) as { name?: string; error?: string };
}

/** What the error names, for a program that may read HOME and nothing else. */
const needed = (): string[] => ["read", "write", "ffi"].map((name) => `--allow-${name}=${cache()}`);
const ALL = ["-A"];

beforeAll(async () => {
  await run("make", ["-s", "-C", `${ROOT}c`, "jsr", `JSR=${published}`]);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(() => {
  expect(missed).toEqual([]);
  server.close();
  rmSync(place, { recursive: true, force: true });
});

beforeEach(() => {
  home = mkdtempSync(`${place}/home-`);
});

describe("what is published", () => {
  it("has the libraries inside, each with its hash; the checkout has none", () => {
    const table = JSON.parse(readFileSync(`${published}/ffi/embedded.json`, "utf8")) as Record<string, { sha256: string; base64: string }>;
    expect(Object.keys(table)).toContain(`linux-${process.arch}`);
    for (const [name, { sha256, base64 }] of Object.entries(table)) {
      const bytes = readFileSync(`${ROOT}ffi/lib/${name}.so`);
      expect(Buffer.from(base64, "base64").equals(bytes), name).toBe(true);
      expect(createHash("sha256").update(bytes).digest("hex")).toBe(sha256);
    }
    expect(readFileSync(`${ROOT}ffi/embedded.json`, "utf8")).toBe("{}\n");
  });

  it("passes deno publish --dry-run", async () => {
    const args = ["publish", "--dry-run", "--allow-dirty", "--quiet"];
    await run(commandOf("deno", "").command, args, { cwd: published, env: { ...process.env, DENO_DIR: `${place}/deno` } });
  });
});

describe.skipIf(!RUNTIMES.includes("deno"))("Deno that imports mod.ts over HTTP", () => {
  it("keeps the library in a directory of mode 0700, as a file of mode 0600, written once", async () => {
    expect(await use(ALL)).toEqual({});
    expect(readdirSync(cache())).toEqual([copy().slice(cache().length + 1)]);
    expect(statSync(cache()).mode & 0o777).toBe(0o700);
    expect(statSync(copy()).mode & 0o777).toBe(0o600);
    expect(isGood(copy())).toBe(true);
    const { ino, mtimeMs } = statSync(copy());
    expect(await use(ALL)).toEqual({});
    expect(statSync(copy())).toMatchObject({ ino, mtimeMs });
  });

  it("prefers XDG_CACHE_HOME", async () => {
    expect(await use(ALL, { env: { XDG_CACHE_HOME: `${home}/elsewhere/cache` } })).toEqual({});
    expect(readdirSync(`${home}/elsewhere/cache/qshm`).length).toBe(1);
    expect(existsSync(cache())).toBe(false);
  });

  it("names the permissions that it needs, and asks nobody; with exactly these it works, and leaves nothing but the copy", async () => {
    const denied = ["net", "run", "sys"].map((name) => `--deny-${name}`);
    const { name, error } = await use(["--allow-env=HOME", ...denied]);
    expect(name).toBe("LibraryError");
    expect(error).toMatch(new RegExp(`"${cache()}": run Deno with ${needed().join(" ")}$`));
    const [, flags] = /run Deno with (.*)$/.exec(error!)!;
    expect(await use(["--allow-env=HOME", ...denied, ...flags!.split(" ")])).toEqual({});
    expect(await use(["--allow-env=HOME", ...denied, ...flags!.split(" ")])).toEqual({});
    expect(readdirSync(cache()).length).toBe(1);
    expect((await use(["--allow-env=HOME", ...denied, ...needed().slice(1)])).error).toBe(error);
  });

  it("without HOME names a directory that needs none", async () => {
    const { error } = await use([]);
    const flags = ["read", "write", "ffi"].map((name) => `--allow-${name}=/tmp/qshm-cache`);
    expect(error).toContain(`run Deno with ${flags.join(" ")}`);
  });

  it.each<[string, (path: string, other: string) => void]>([
    ["shorter than it must be", (path) => truncateSync(path, 1000)],
    ["empty", (path) => truncateSync(path, 0)],
    ["of the right size with other contents", (path) => writeFileSync(path, readFileSync(LIBRARY).fill(0, 20_000, 20_001))],
    ["open to others", (path) => chmodSync(path, 0o606)],
    ["a symbolic link", (path, other) => {
      rmSync(path);
      symlinkSync(other, path);
    }],
    ["a file with a second name", (path, other) => {
      rmSync(path);
      linkSync(other, path);
    }],
  ])("replaces a copy that is %s, and touches nothing else", async (_, damage) => {
    expect(await use(ALL)).toEqual({});
    const other = `${home}/other`;
    writeFileSync(other, readFileSync(LIBRARY), { mode: 0o600 });
    damage(copy(), other);
    expect(await use(ALL)).toEqual({});
    expect(lstatSync(copy())).toMatchObject({ nlink: 1, mode: 0o100600 });
    expect(isGood(copy())).toBe(true);
    expect(isGood(other)).toBe(true);
    expect(readdirSync(cache()).length).toBe(1);
  });

  const mine = ["--allow-env=HOME", "--allow-sys=uid"];
  describe.each([["by its user id", mine], ["by a file that it makes", mine.slice(0, 1)]])("told who it is %s", (_, flags) => {
    it.each<[string, string, () => void]>([
      ["is a symbolic link", "a link", () => {
        mkdirSync(`${home}/target`, { mode: 0o700 });
        symlinkSync(`${home}/target`, cache());
      }],
      ["is not a directory", "a file", () => writeFileSync(cache(), "")],
      ["is open to other users", "open to others", () => {
        mkdirSync(cache());
        chmodSync(cache(), 0o755);
      }],
    ])("refuses a directory that %s", async (why, _, make) => {
      mkdirSync(`${home}/.cache`);
      make();
      const { name, error } = await use([...flags, ...needed()]);
      expect(name).toBe("LibraryError");
      expect(error).toContain(`"${copy()}": its directory ${why}`);
      expect(error).not.toContain("/tmp/qshm-cache");
      if (lstatSync(cache()).isDirectory()) expect(readdirSync(cache())).toEqual([]);
      if (existsSync(`${home}/target`)) expect(readdirSync(`${home}/target`)).toEqual([]);
    });

    it.skipIf(SKIPS.root)(because("refuses a directory of another user, though it holds a good copy", SKIPS.root), async () => {
      mkdirSync(cache(), { recursive: true, mode: 0o700 });
      writeFileSync(copy(), readFileSync(LIBRARY), { mode: 0o600 });
      chownSync(copy(), 0, 0);
      chownSync(cache(), 65534, 65534);
      const { error } = await use([...flags, ...needed()]);
      expect(error).toContain(`"${copy()}": its directory belongs to another user (65534)`);
    });
  });

  it.skipIf(SKIPS.root)(because("goes on to the next place where the first is read-only, or nothing there may be run", SKIPS.root), async () => {
    using directory = testDirectory();
    for (const option of ["ro", "noexec"]) {
      const { command } = commandOf("deno", "");
      const first = `${home}/first`;
      mkdirSync(first, { recursive: true });
      await use(ALL); // so that the program is there
      rmSync(`${home}/.cache`, { recursive: true });
      const mounted = `mount -t tmpfs -o ${option} tmpfs ${first} && exec "$@"`;
      const args = ["-m", "sh", "-c", mounted, "sh", command, "run", "--no-check", "--quiet", "-A", `${place}/use-mod.ts`];
      const env = { ...process.env, HOME: home, XDG_CACHE_HOME: first, DENO_DIR: `${place}/deno`, QSHM_DIRECTORY: directory.path };
      const { stdout } = await run("unshare", args, { env });
      expect(stdout, option).toBe("{}\n");
      expect(isGood(copy())).toBe(true);
    }
  });

  it("says what to do where the checkout is served, which has no library inside", async () => {
    const { name, error } = await use(ALL, { module: "/checkout/mod.ts" });
    expect(name).toBe("LibraryError");
    expect(error).toContain("`make -C c jsr`");
    expect(await use(ALL, { module: "/checkout/mod.ts", env: { QSHM_LIBRARY: LIBRARY } })).toEqual({});
  });

  it("takes the libraries along with deno compile", async () => {
    expect(await use(ALL)).toEqual({}); // so that the program is there
    const [, size] = /Remote modules: ([\d.]+)KB/.exec(await embeddedFiles(place, `${place}/deno`, `${place}/use-mod.ts`))!;
    expect(Number(size) * 1024).toBeGreaterThan(statSync(`${published}/ffi/embedded.json`).size);
  });

  it("works without a network the second time", async () => {
    expect(await use(ALL)).toEqual({});
    await new Promise((resolve) => {
      server.close(resolve);
      server.closeAllConnections();
    });
    expect(await use(["--cached-only", ...ALL])).toEqual({});
    rmSync(cache(), { recursive: true }); // not even the copy need be there
    expect(await use(["--cached-only", ...ALL])).toEqual({});
    expect(isGood(copy())).toBe(true);
  });
});
