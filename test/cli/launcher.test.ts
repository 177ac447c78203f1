/** The launcher: which runtime it becomes, wherever and however it is called. */

import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { testDirectory } from "../support/directory.ts";
import { ROOT, RUNTIMES } from "../support/runtimes.ts";
import { because, SKIPS } from "../support/skips.ts";
import { script } from "./run/support.ts";
import { LAUNCHER } from "./support.ts";

const find = (program: string): string | undefined => {
  try {
    return execFileSync("sh", ["-c", `command -v ${program}`], { encoding: "utf8" }).trim();
  } catch {
    return undefined;
  }
};

let place: string;
beforeEach(() => void (place = mkdtempSync(`${tmpdir()}/qshm launcher `)));
afterEach(() => rmSync(place, { recursive: true, force: true }));

/** A folder for PATH with what the launcher needs of a system, and runtimes that only tell how they were called. */
function folder(fakes: Readonly<Record<string, string>> = {}): string {
  const path = mkdtempSync(`${place}/bin-`);
  for (const program of ["sh", "readlink"]) symlinkSync(find(program)!, `${path}/${program}`);
  for (const [name, version] of Object.entries(fakes)) {
    writeFileSync(`${path}/${name}`, `#!/bin/sh\n[ "$1" != --version ] || { echo ${version}; exit; }\necho ${name} "$@"\n`, { mode: 0o755 });
  }
  return path;
}

describe("the choice of a runtime", () => {
  const status = `"$QSHM" status n; echo $?`;

  it("Bun before Deno before Node; QSHM_RUNTIME chooses", async () => {
    const all = { bun: "1.4.5", deno: "2.9.5", node: "v26.10.0" };
    const { bun, deno, node } = all;
    const first = async (PATH: string, QSHM_RUNTIME?: string): Promise<string> =>
      (await script("bun", status, { env: { PATH, QSHM_RUNTIME } })).lines[0]!.split(" ")[0]!;
    expect(await first(folder(all))).toBe("bun");
    expect(await first(folder(all), "")).toBe("bun");
    expect(await first(folder({ deno, node }))).toBe("deno");
    expect(await first(folder({ node }))).toBe("node");
    for (const name of Object.keys(all)) expect(await first(folder(all), name)).toBe(name);
    expect(await first(folder({ bun, node: "v20.20.2" }))).toBe("bun");
    expect(await first(folder({ deno, node: "v20.20.2" }))).toBe("deno");
  });

  it("Node from 26.1 with a flag, from 26.9 without", async () => {
    for (
      const [version, line] of [
        ["v26.1.0", /^node --experimental-ffi .*main\.ts status n$/],
        ["v26.8.9", /^node --experimental-ffi .*main\.ts status n$/],
        ["v26.9.0", /^node .*cli\/main\.ts status n$/],
        ["v27.0.0-nightly", /^node .*cli\/main\.ts status n$/],
        ["v100.0.0", /^node .*cli\/main\.ts status n$/],
      ] as const
    ) {
      const { lines, stderr } = await script("node", status, { env: { PATH: folder({ node: version }), QSHM_RUNTIME: undefined } });
      expect(lines[0], version).toMatch(line);
      expect(lines[0]!.includes("--experimental-ffi")).toBe(line.source.includes("experimental"));
      expect(stderr).toBe("");
    }
  });

  it("none, too old a Node, or none of that name: one line that says what is needed, and 70", async () => {
    for (
      const [fakes, QSHM_RUNTIME, message] of [
        [{}, undefined, /needs Bun, Deno 2 or Node 26\.9 or newer/],
        [{ node: "v20.20.2" }, undefined, /needs Bun, Deno 2 or Node 26\.9 or newer/],
        [{ node: "v26.0.0" }, undefined, /needs Bun, Deno 2 or Node 26\.9 or newer/],
        [{ node: "v20.20.2" }, "node", /QSHM_RUNTIME asks for node/],
        [{ node: "v26.10.0" }, "bun", /QSHM_RUNTIME asks for bun/],
        [{ bun: "1" }, "deno", /QSHM_RUNTIME asks for deno/],
        [{ bun: "1" }, "perl", /QSHM_RUNTIME must be bun, deno or node: got perl/],
      ] as const
    ) {
      const { lines, stderr } = await script("bun", status, { env: { PATH: folder(fakes), QSHM_RUNTIME } });
      expect(lines, JSON.stringify([fakes, QSHM_RUNTIME])).toEqual(["70"]);
      expect(stderr).toMatch(message);
      expect(stderr.match(/^qshm: .*\n$/)).not.toBeNull();
    }
  });
});

describe("how it is called", () => {
  it("through links, by relative paths, from PATH, with spaces in its path, by each shell", async () => {
    using directory = testDirectory();
    mkdirSync(`${place}/a b`);
    symlinkSync(LAUNCHER, `${place}/direct`);
    symlinkSync("../direct", `${place}/a b/qshm`);
    symlinkSync(ROOT, `${place}/package`);
    for (const shell of ["sh", "dash", "bash", "busybox"]) {
      const path = find(shell);
      if (path === undefined) continue;
      const run = shell === "busybox" ? "busybox sh" : shell;
      const { lines, stderr } = await script(
        RUNTIMES[0]!,
        `for launcher in "$QSHM" "$PLACE/direct" "$PLACE/a b/qshm" "$PLACE/package/src/cli/launch.sh"; do ${run} "$launcher" run n echo "$launcher"; done
         cd "$PLACE/a b"; ./qshm run n echo dot; ../direct run n echo up; ${run} ./qshm run n echo by shell
         PATH="$PWD:$PATH" qshm run n echo path; cd ..; PATH="a b:$PATH" qshm run n echo relative path`,
        { env: { QSHM_DIRECTORY: directory.path, PLACE: place } },
      );
      expect(stderr).toBe("");
      expect(lines).toEqual([
        LAUNCHER, `${place}/direct`, `${place}/a b/qshm`, `${place}/package/src/cli/launch.sh`,
        "dot", "up", "by shell", "path", "relative path",
      ]);
    }
    expect(directory.entries()).toEqual([]);
  });

  it("by its bare name", async () => {
    using directory = testDirectory();
    const { lines } = await script(RUNTIMES[0]!, `cd "\${QSHM%/*}"; sh launch.sh run n echo ran`, { env: { QSHM_DIRECTORY: directory.path } });
    expect(lines).toEqual(["ran"]);
  });
});

describe("where it is called", () => {
  for (const runtime of RUNTIMES) {
    it(`in ${runtime}: with nothing but PATH in the environment, in /`, async () => {
      const { lines, stderr, status } = await script(
        runtime,
        `cd /; env -i PATH="$PATH" QSHM_RUNTIME=${runtime} "$QSHM" run "cron-$$" sh -c 'echo ran; exit 3'`,
      );
      expect({ lines, stderr, status }).toEqual({ lines: ["ran"], stderr: "", status: 3 });
    });

    it(`in ${runtime}: in a folder that is gone, it runs, or ends with 70 and says why`, async () => {
      using directory = testDirectory();
      const { lines, stderr } = await script(
        runtime,
        `mkdir "$PLACE/gone"; cd "$PLACE/gone"; rmdir "$PLACE/gone"; "$QSHM" run n echo ran; echo $?`,
        { env: { QSHM_DIRECTORY: directory.path, PLACE: place } },
      );
      if (lines.length > 1) expect(lines).toEqual(["ran", "0"]);
      else expect({ lines, stderr }).toEqual({ lines: ["70"], stderr: expect.stringMatching(/^qshm: /m) });
    });

    it(`in ${runtime}: nothing in the folder has an influence`, async () => {
      using directory = testDirectory();
      const evil = 'console.log("EVIL");\n';
      const files: Readonly<Record<string, string>> = {
        "bunfig.toml": 'preload = ["./evil.ts"]\n[run]\nbun = true\n[install]\nauto = "force"\n',
        "deno.json": '{"imports": {"node:util": "./evil.ts", "../../mod.ts": "./evil.ts"}, "lock": true, "unstable": ["none"]}',
        "deno.lock": "broken",
        "package.json": '{"type": "commonjs", "imports": {"#x": "./evil.ts"}, "dependencies": {"none": "file:./none"}, "scripts": {"run": "echo EVIL"}}',
        "tsconfig.json": '{"compilerOptions": {"baseUrl": ".", "paths": {"*": ["./evil.ts"], "node:util": ["./evil.ts"]}}}',
        "node.config.json": '{"nodeOptions": {"import": ["./evil.ts"]}}',
        ".npmrc": "broken",
        "evil.ts": evil,
        "main.ts": evil,
        "main.js": evil,
        "run": evil,
      };
      const variables = "QSHM_LIBRARY=/nonexistent\nQSHM_DIRECTORY=/nonexistent\nQSHM_DEBUG=1\n";
      for (const [name, text] of Object.entries(files)) writeFileSync(`${place}/${name}`, text);
      for (const name of [".env", ".env.local", ".env.development", ".env.production"]) writeFileSync(`${place}/${name}`, variables);
      for (const name of ["node_util", "util", "node:util"]) {
        mkdirSync(`${place}/node_modules/${name}`, { recursive: true });
        writeFileSync(`${place}/node_modules/${name}/index.js`, evil);
      }
      mkdirSync(`${place}/deep/er`, { recursive: true });
      for (const name of ["tsconfig.json", "bunfig.toml", "evil.ts"]) copyFileSync(`${place}/${name}`, `${place}/deep/${name}`);
      for (const cwd of [place, `${place}/deep/er`]) {
        const { lines, stderr } = await script(
          runtime,
          // In PWD's own HOME, too.
          `HOME="$PWD" XDG_CONFIG_HOME="$PWD" "$QSHM" run n sh -c 'echo "\${QSHM_LIBRARY-none}" "$QSHM_DIRECTORY"'`,
          { env: { QSHM_DIRECTORY: directory.path }, cwd },
        );
        expect({ lines, stderr }).toEqual({ lines: [`none ${directory.path}`], stderr: "" });
      }
      expect(directory.entries()).toEqual([]);
    });

    it.skipIf(SKIPS.root)(because(`in ${runtime}: in a folder that it may not read`, SKIPS.root), async () => {
      using directory = testDirectory();
      mkdirSync(`${place}/closed`, { mode: 0 });
      chmodSync(place, 0o711);
      const { lines, stderr } = await script(
        runtime,
        `chown 65534 "$QSHM_DIRECTORY"; cd "$PLACE/closed"
         setpriv --reuid 65534 --regid 65534 --clear-groups env -i PATH="$PATH" QSHM_RUNTIME=${runtime} QSHM_DIRECTORY="$QSHM_DIRECTORY" "$QSHM" run n echo ran`,
        { env: { QSHM_DIRECTORY: directory.path, PLACE: place } },
      );
      expect({ lines, stderr }).toEqual({ lines: ["ran"], stderr: "" });
    });
  }
});
