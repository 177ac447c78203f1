/** `make -C c dist` and `make -C c verify`: the same sources give the same bytes, and what is not the same is named. */

import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ROOT } from "../support/runtimes.ts";
import { because, SKIPS } from "../support/skips.ts";

const home = mkdtempSync(`${tmpdir()}/qshm-libraries-`);
const out = `${home}/lib`;
const ARCHS = SKIPS.crossCompiler === undefined ? ["x64", "arm64"] : [process.arch];
const OTHER = process.arch === "x64" ? "arm64" : "x64";
const quick = `${home}/quick`; // not optimised, where only what is said about it matters
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
  beforeAll(() => expect(make("dist", "-j2", `ARCHS=${ARCHS.join(" ")}`, `OUT=${out}`)).toMatchObject({ status: 0, stderr: "" }));

  it("are built for the platforms on which one is looked for", () => {
    const built = /^ARCHS +\?= (.*)$/m.exec(readFileSync(`${ROOT}c/Makefile`, "utf8"))![1]!.split(" ").map((arch) => `linux-${arch}`);
    const looked = /PLATFORMS: readonly string\[\] = (\[.*\]);/.exec(readFileSync(`${ROOT}ffi/locate.ts`, "utf8"))![1]!;
    expect(built).toEqual(JSON.parse(looked));
  });

  it("come with checksums that sha256sum agrees to", () => {
    const said = execFileSync("sha256sum", ["--check", "--strict", "SHA256SUMS"], { cwd: out, encoding: "utf8" });
    expect(said).toBe(ARCHS.map((arch) => `linux-${arch}.so: OK\n`).join(""));
  });

  it("have the same bytes when they are built again, from a copy of the sources that stands elsewhere", () => {
    cpSync(`${ROOT}c`, `${home}/elsewhere/c`, { recursive: true, filter: (path) => path !== `${ROOT}c/build` });
    const { status, stdout } = spawnSync("make", ["-s", "-C", `${home}/elsewhere/c`, "verify", `ARCHS=${ARCHS.join(" ")}`, `OUT=${out}`], {
      encoding: "utf8",
    });
    expect({ status, lines: stdout.trim().split("\n").map((line) => line.replace(/ [0-9a-f]{64}$/, "")) }).toEqual({
      status: 0,
      lines: ARCHS.map((arch) => `linux-${arch}.so: the same bytes,`),
    });
  });

  it.skipIf(SKIPS.crossCompiler)(because("can be built for both architectures here", SKIPS.crossCompiler), () => {
    expect(readFileSync(`${out}/SHA256SUMS`, "utf8").trim().split("\n")).toHaveLength(2);
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
