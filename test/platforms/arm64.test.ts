/**
 * arm64, under qemu-user: the C cases, the library as others see it, a case in each runtime; and the memory orders, which
 * emulation on x64 cannot show, read from the machine code.
 */

import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { testDirectory } from "../support/directory.ts";
import { excludesUntilDeath, openIn, wakes } from "../support/meeting.ts";
import { Peer } from "../support/peer.ts";
import { ROOT, type RuntimeName, RUNTIMES } from "../support/runtimes.ts";
import { because, SKIPS, unlessFetched } from "../support/skips.ts";
import { EMULATOR, foreignRuntime, isFetched } from "./runtimes.ts";

const execute = promisify(execFile);
const LIBRARY = `${ROOT}c/build/arm64/library.so`;
/**
 * The protocols, and what they stand on; the rest differs in nothing that depends on the processor. One at a time, and
 * without crowds of processes: emulation is slow, and who holds up others for a second is told of.
 */
const CASES = [
  ...["lock_t*", "lock_u*", "lock_heir*", "lock_force*", "lock_accepted*", "lock_double*", "lock_woken*", "lock_waiters*"],
  ...["bell_o*", "bell_r*", "bell_u*", "change_is*", "change_wakes*", "change_d*", "change_publisher*", "change_version*"],
  ...["value_n*", "value_s*", "value_t*", "value_r*", "value_g*", "semaphore_t*", "semaphore_d*", "liveness_*"],
];

async function make(...args: string[]): Promise<string> {
  return (await execute("make", ["-s", "-C", `${ROOT}c`, ...args], { maxBuffer: 1 << 26 })).stdout;
}

describe.skipIf(SKIPS.arm64)(because("arm64", SKIPS.arm64), () => {
  beforeAll(() => make("abi-arm64"), 300_000);

  it("the C cases of the protocols pass under qemu-user", async () => {
    expect(await make("-j2", "check-arm64", "QSHM_JOBS=1", `CASES=${CASES.map((pattern) => `'${pattern}'`).join(" ")}`)).toMatch(/ 0 failed/);
  }, 600_000);

  it("the library is loaded and used by a program of arm64", async () => {
    using directory = testDirectory();
    const [emulator, ...args] = EMULATOR;
    await execute(emulator!, [...args, `${ROOT}c/build/arm64/program.glibc`, LIBRARY, directory.path]);
    expect(directory.entries()).toEqual([]);
  });

  it("the library needs nothing of libgcc, nor what one libc names differently", async () => {
    const { stdout } = await execute("aarch64-linux-gnu-nm", ["-D", "--undefined-only", LIBRARY]);
    const names = stdout.split("\n").map((line) => line.trim().split(" ").at(-1)!).filter((name) => name !== "");
    expect(names.length).toBeGreaterThan(10);
    expect(names.filter((name) => /@|_chk$|^__(?!errno_location$)|64$/.test(name))).toEqual([]);
  });
});

/** An atomic instruction in a function of a source file. */
interface Instruction {
  readonly file: string;
  readonly function: string;
  readonly name: string;
}

/** Those of the sources, compiled one by one without inlining, so that functions keep their names. */
async function atomicInstructions(place: string): Promise<Instruction[]> {
  const sources = readdirSync(`${ROOT}c/src`).filter((name) => name.endsWith(".c"));
  const flags = ["-std=c11", "-O2", "-fPIC", "-fno-inline", "-mno-outline-atomics", "-march=armv8-a", "-c"];
  await execute("aarch64-linux-gnu-gcc", [...flags, ...sources.map((name) => `${ROOT}c/src/${name}`)], { cwd: place });
  const found: Instruction[] = [];
  for (const object of readdirSync(place)) {
    const { stdout } = await execute("aarch64-linux-gnu-objdump", ["-d", "--no-show-raw-insn", `${place}/${object}`], { maxBuffer: 1 << 26 });
    let current = "";
    for (const line of stdout.split("\n")) {
      current = /^[0-9a-f]+ <([^.>]+).*>:$/.exec(line)?.[1] ?? current;
      const name = /^ +[0-9a-f]+:\t(ld\w+|st\w+|dmb\t\w+|swp\w*|cas\w*)/.exec(line)?.[1];
      const isAtomic = name !== undefined && /^(ld[a-z]*x[rp]b?h?|ldap?rb?|st[l]?x[rp]b?h?|stlrb?|dmb|swp|cas|ld(add|set|clr|eor))/.test(name);
      if (isAtomic) found.push({ file: object.slice(0, -2), function: current, name: name.replace("\t", " ") });
    }
  }
  return found;
}

/**
 * What has to be where: the instructions that the functions' stores and loads of published words are made of on arm64, and
 * the barriers. `acquire` = ldar or ldaxr, `release` = stlr or stlxr.
 */
const ORDERS: readonly [file: string, name: string, needs: readonly string[]][] = [
  // The lock's word: taken with acquire, given back with release.
  ["lock", "swap", ["ldaxr", "stlxr"]],
  ["lock", "attempt", ["ldar"]],
  ["lock", "qshm__lock_force", ["ldar"]],
  // Store, then load, on both sides: the barrier lets the loads not come before the store.
  ["bell", "qshm__bell_arm", ["stlr", "dmb ish"]],
  ["bell", "qshm__bells_ring", ["dmb ish", "ldar", "ldaxr", "stlxr"]],
  ["bell", "claim", ["ldaxr", "stlxr"]],
  ["change", "qshm__change_publish", ["ldaxr", "stlxr"]],
  ["change", "qshm__change_wait", ["ldar"]],
  ["change", "announce", ["ldaxr", "stlxr"]],
  // The new generation before the first byte; the bytes before the look at the generation.
  ["value", "set", ["dmb ish"]],
  ["value", "copy_freely", ["ldar", "dmb ishld"]],
  ["value", "swap", ["ldaxr", "stlxr"]],
  ["value", "current", ["ldar"]],
  ["value", "take_pin", ["ldaxr", "stlxr"]],
  // The one store that commits; the total before the record.
  ["semaphore", "acquire_locked", ["ldar", "stlr"]],
  ["semaphore", "reap", ["ldaxr", "stlxr"]],
  ["semaphore", "qshm__semaphore_return", ["ldar", "stlr"]],
  ["semaphore", "qshm__semaphore_forget", ["ldaxr", "stlxr", "stlr"]],
  // The word that arbitrates who decides over a message.
  ["message", "step", ["ldaxr", "stlxr"]],
  ["message", "claim", ["ldaxr", "stlxr"]],
];
/** Counters that order nothing: how many were told, which id is drawn next under the registry lock. */
const RELAXED = ["liveness qshm__draw_id", "segment count_in", "segment count_out", "handle lock_table"];

describe.skipIf(SKIPS.arm64)(because("memory orders on arm64", SKIPS.arm64), () => {
  let instructions: readonly Instruction[];
  const place = mkdtempSync(`${tmpdir()}/qshm-orders-`);
  beforeAll(async () => void (instructions = await atomicInstructions(place)));
  afterAll(() => rmSync(place, { recursive: true }));

  it.each(ORDERS)("%s.c: %s has %s", (file, name, needs) => {
    const there = instructions.filter((found) => found.file === file && found.function === name).map(({ name }) => name);
    expect(there).toEqual(expect.arrayContaining([...needs]));
  });

  it("no other read-modify-write is without acquire and release, but for counters that order nothing", () => {
    const relaxed = instructions.filter(({ name }) => /^(ldxr|stxr)/.test(name)).map(({ file, function: f }) => `${file} ${f}`);
    expect([...new Set(relaxed)].sort()).toEqual([...RELAXED].sort());
  });
});

describe("runtimes of arm64", () => {
  const skip = SKIPS.arm64 ?? unlessFetched(isFetched("arm64-runtimes"), "arm64-runtimes");
  const binaries = new Map<RuntimeName, string>();
  beforeAll(async () => {
    if (skip !== undefined) return;
    await make("abi-arm64");
    for (const runtime of RUNTIMES) binaries.set(runtime, foreignRuntime("arm64-runtimes", runtime));
  }, 600_000);

  for (const [i, runtime] of RUNTIMES.entries()) {
    const next = RUNTIMES[(i + 1) % RUNTIMES.length]!;
    it.skipIf(skip)(because(`${runtime} of arm64 and ${next} of x64 exclude each other, wake each other, and see deaths`, skip), async () => {
      using directory = testDirectory();
      await using one = await Peer.start(runtime, {
        directory: directory.path,
        within: EMULATOR,
        binary: binaries.get(runtime)!,
        env: { QSHM_LIBRARY: LIBRARY },
      });
      await using two = await Peer.start(next, { directory: directory.path });
      expect(await one.run(() => process.arch)).toBe("arm64");
      for (const peer of [one, two]) await openIn(peer);
      await wakes(one, two);
      await wakes(two, one);
      await excludesUntilDeath(one, two, { guard: one.pid, lock: one.pid });
      expect(directory.entries()).toEqual([]);
    });
  }
});
