/** `qshm run` and what COMMAND inherits: everything as if it had been started directly, and the guard's descriptor. */

import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { testDirectory } from "../support/directory.ts";
import { type RuntimeName, RUNTIMES } from "../support/runtimes.ts";
import { script } from "./run/support.ts";
import { qshm } from "./support.ts";

/** Writes what a process was given into files of the folder $1. */
const DESCRIBE = `
  cp -R -P /proc/$$/fd "$1/descriptors"
  for fd in 0 1 2; do cp /proc/$$/fdinfo/$fd "$1/flags$fd"; done
  cat /proc/$$/environ >"$1/environment"
  grep -E '^(Sig(Blk|Ign|Cgt)|ShdPnd|Umask|NoNewPrivs|Seccomp|Cap|Cpus_allowed|Groups|Uid|Gid|CoreDumping|THP)' /proc/self/status >"$1/status"
  cat /proc/$$/limits >"$1/limits"
  { pwd -P; umask; nice; cat /proc/$$/oom_score_adj /proc/$$/personality /proc/$$/timerslack_ns; } >"$1/others" 2>&1
`;

/** What COMMAND was given when it was started directly, and by `qshm run`, in the same surroundings. */
interface Described {
  readonly directory: string;
  links(how: "direct" | "run"): string[];
  read(file: string): { direct: string; run: string };
}

async function described(runtime: RuntimeName, place: string, directory: string): Promise<Described> {
  for (const name of ["direct", "run", "work"]) mkdirSync(`${place}/${name}`);
  // Pipes, as a build server gives them, two more descriptors, and limits that are not the largest possible.
  const { stderr, status } = await script(
    runtime,
    `cd "$PLACE/work"; umask 027; ulimit -S -n 200; ulimit -S -c 0; ulimit -S -s 4096; trap '' HUP USR2 PIPE
     exec 5</etc/passwd 7>>"$PLACE/seven"
     echo x | {
       nice -n 3 sh -c "$DESCRIBE" sh "$PLACE/direct"
       nice -n 3 "$QSHM" run n sh -c "$DESCRIBE" sh "$PLACE/run"
     } 2>&1 | cat >&2`,
    { env: { QSHM_DIRECTORY: directory, PLACE: place, DESCRIBE } },
  );
  expect({ stderr, status }).toEqual({ stderr: "", status: 0 });
  const read = (how: string, file: string): string => readFileSync(`${place}/${how}/${file}`, "latin1");
  const links = (how: string): string[] =>
    readdirSync(`${place}/${how}/descriptors`).map((fd) => `${fd} -> ${readlinkSync(`${place}/${how}/descriptors/${fd}`)}`);
  return { directory, links, read: (file) => ({ direct: read("direct", file), run: read("run", file) }) };
}

describe("surroundings", () => {
  for (const runtime of RUNTIMES) {
    describe(`in ${runtime}`, () => {
      async function compare(f: (described: Described) => void): Promise<void> {
        using directory = testDirectory();
        using place = testDirectory();
        f(await described(runtime, place.path, directory.path));
      }

      it("the descriptors are the same ones, and the guard's", async () => {
        await compare(({ links, directory }) => {
          const direct = links("direct");
          const run = links("run");
          expect(direct.join()).toContain("5 -> /etc/passwd");
          const more = run.filter((link) => !direct.includes(link));
          expect(direct.filter((link) => !run.includes(link)), "missing").toEqual([]);
          expect(more).toHaveLength(1);
          expect(more[0]).toMatch(new RegExp(`^\\d+ -> ${directory}/`));
        });
      });

      it("their flags and positions are untouched", async () => {
        await compare(({ read }) => {
          for (const fd of [0, 1, 2]) {
            const { direct, run } = read(`flags${fd}`);
            expect(direct).toContain("flags");
            expect(run).toBe(direct);
          }
        });
      });

      it("the environment is the same", async () => {
        await compare(({ read }) => {
          const { direct, run } = read("environment");
          const sorted = (text: string): string[] =>
            // `_` names the program itself, where a shell sets it.
            text.split("\0").filter((entry) => !entry.startsWith("_=")).sort();
          expect(sorted(run)).toEqual(sorted(direct));
        });
      });

      it("signals, user and rights are the same", async () => {
        await compare(({ read }) => {
          const { direct, run } = read("status");
          expect(direct).toContain("SigIgn");
          expect(run).toBe(direct);
        });
      });

      it("the limits are the same", async () => {
        await compare(({ read }) => {
          const { direct, run } = read("limits");
          expect(direct).toMatch(/open files +200 /);
          expect(run).toBe(direct);
        });
      });

      it("working directory, umask, niceness and the like are the same", async () => {
        await compare(({ read }) => {
          const { direct, run } = read("others");
          expect(direct).toContain("/work\n0027\n3\n");
          expect(run).toBe(direct);
        });
      });

      it("large binary data goes through in both directions", async () => {
        using directory = testDirectory();
        const input = randomBytes(4 << 20);
        const { code, stdoutBytes, stderr } = await qshm(runtime, ["run", "n", "cat"], { env: { QSHM_DIRECTORY: directory.path }, input });
        expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
        expect(input.equals(stdoutBytes)).toBe(true);
      });

      it("what COMMAND writes to a pipe that is read late is not lost, on standard error neither", async () => {
        using directory = testDirectory();
        const { lines, stderr } = await script(
          runtime,
          // wc reads once COMMAND has filled the pipe, or has given up.
          `mkfifo "$PLACE/full"
           "$QSHM" run n sh -c '(head -c 65536 /dev/zero; : >"$0"; head -c 1000000 /dev/zero) >&2' "$PLACE/full" 2>&1 >/dev/null |
             { : <"$PLACE/full"; wc -c; }`,
          { env: { QSHM_DIRECTORY: directory.path, PLACE: directory.path } },
        );
        expect({ lines, stderr }).toEqual({ lines: ["1065536"], stderr: "" });
      });

      it("closed standard descriptors stay harmless: what is opened there is /dev/null at most", async () => {
        using directory = testDirectory();
        const { lines } = await script(
          runtime,
          `for close in '0<&-' '1>&-' '2>&-' '0<&- 1>&- 2>&-'; do
             eval '"$QSHM" run n sh -c "for fd in 0 1 2; do readlink /proc/\\$\\$/fd/\\$fd; done >$PLACE/links" '"$close"
             grep -c -v -E '^(/dev/null|pipe:.*|socket:.*)$' "$PLACE/links"
           done`,
          { env: { QSHM_DIRECTORY: directory.path, PLACE: directory.path } },
        );
        // Where 1 is closed, the file is opened there.
        expect(lines.every((line) => line === "0" || line === "1")).toBe(true);
        expect(lines).toHaveLength(4);
      });
    });
  }
});
