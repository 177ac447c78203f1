/** `make -C c dist` and `make -C c verify`: what is not there, or not the same, is named. `contents.ts` verifies what is packed. */

import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ROOT } from "../support/runtimes.ts";

const home = mkdtempSync(`${tmpdir()}/qshm-libraries-`);
const OTHER = process.arch === "x64" ? "arm64" : "x64";
const quick = `${home}/quick`; // not optimised: only what is said about them matters here
const NATIVE = `linux-${process.arch}.so`;

function make(target: string, ...knobs: string[]): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync("make", ["-s", "-C", `${ROOT}c`, target, ...knobs], { encoding: "utf8" });
  return { status, stdout, stderr };
}

function makeQuick(target: string, ...knobs: string[]): ReturnType<typeof make> {
  return make(target, `ARCHS=${process.arch}`, `OUT=${quick}`, "CFLAGS=-O0", ...knobs);
}

/** Changes a file for as long as `f` takes. */
function changed(path: string, change: (bytes: Buffer) => Buffer, f: () => void): void {
  const bytes = readFileSync(path);
  writeFileSync(path, change(Buffer.from(bytes)));
  try {
    f();
  } finally {
    writeFileSync(path, bytes);
  }
}

afterAll(() => rmSync(home, { recursive: true, force: true }));

describe("the libraries", () => {
  it("are built for the platforms on which one is looked for", () => {
    const built = /^ARCHS +\?= (.*)$/m.exec(readFileSync(`${ROOT}c/Makefile`, "utf8"))![1]!.split(" ").map((arch) => `linux-${arch}`);
    const looked = /PLATFORMS: readonly string\[\] = (\[.*\]);/.exec(readFileSync(`${ROOT}ffi/locate.ts`, "utf8"))![1]!;
    expect(built).toEqual(JSON.parse(looked));
  });
});

describe("verifying the libraries", () => {
  beforeAll(() => expect(makeQuick("dist")).toMatchObject({ status: 0, stderr: "" }));

  it("fails when a byte, a checksum or a file is wrong, and says which", () => {
    changed(`${quick}/${NATIVE}`, (bytes) => bytes.fill(bytes[4096]! ^ 1, 4096, 4097), () => {
      expect(makeQuick("verify")).toMatchObject({ status: 2, stdout: "", stderr: expect.stringContaining(`${NATIVE}: differs from what these sources give\n`) });
    });
    changed(`${quick}/SHA256SUMS`, (bytes) => Buffer.from(String(bytes).replaceAll(/^\w{8}/gm, "01234567")), () => {
      expect(makeQuick("verify")).toMatchObject({ status: 2, stderr: expect.stringMatching(`${NATIVE}: SHA256SUMS has 01234567\\w+ for it, it is `) });
    });
    expect(makeQuick("verify", `OUT=${home}/nowhere`)).toMatchObject({ status: 2, stderr: expect.stringContaining(`${NATIVE}: is not in `) });
  });

  it("tells compilers apart by their names", () => {
    const compiler = `${home}/compiler`;
    // As another version of it would: it writes another name.
    writeFileSync(compiler, `#!/bin/sh\ncc "$@" && for last; do :; done && while [ "$1" != -o ]; do shift; done && sed -i 's/GCC: (/GCC: [/' "$2"\n`);
    chmodSync(compiler, 0o755);
    const { status, stderr } = makeQuick("verify", `CC_${process.arch}=${compiler}`);
    expect({ status, stderr }).toEqual({
      status: 2,
      stderr: expect.stringMatching(`${NATIVE}: differs from what these sources give here; that was built by \\(.*, this by \\[`),
    });
  });

  it("and building them needs a compiler for each architecture; the message says how to get it, or how to do without", () => {
    const { status, stderr } = make("dist", `ARCHS=${OTHER}`, `CC_${OTHER}=no-such-compiler`, `OUT=${home}/none`);
    expect({ status, stderr }).toEqual({
      status: 2,
      stderr: expect.stringMatching(
        `^No compiler for ${OTHER}: no-such-compiler\\. On Debian: apt install gcc-.* CC_${OTHER} names another; ARCHS="${process.arch}" leaves ${OTHER} out\\.\n`,
      ),
    });
  });

  it("is out of question once one is built anew: the checksums, which would speak of another file, are gone", () => {
    const { status } = makeQuick("all", "--always-make");
    expect(status).toBe(0);
    expect(() => readFileSync(`${quick}/SHA256SUMS`)).toThrow(/ENOENT/);
  });
});
