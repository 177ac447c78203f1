/** `qshm run`: how it ends, how it is called, and how it waits. */

import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { describe, expect, it } from "vitest";
import { testDirectory } from "../support/directory.ts";
import { type RuntimeName, RUNTIMES } from "../support/runtimes.ts";
import { hasOpen, script, start, until } from "./run/support.ts";
import { qshm } from "./support.ts";

/** Where behaviour cannot differ, one runtime stands for all. */
const ANY: RuntimeName = RUNTIMES.includes("bun") ? "bun" : RUNTIMES[0]!;
/** Each runtime, with another one beside it. */
const PAIRS = RUNTIMES.map((runtime, i) => [runtime, RUNTIMES[(i + 1) % RUNTIMES.length]!] as const);

/** A command that tells it runs, and ends with its input. */
const HOLD = ["sh", "-c", "echo up; cat"];

describe("how it ends", () => {
  it("with COMMAND's own code", async () => {
    using directory = testDirectory();
    const codes = [0, 1, 2, 63, 64, 69, 70, 75, 77, 126, 127, 128, 137, 254, 255];
    const { lines } = await script(ANY, `for code in ${codes.join(" ")}; do "$QSHM" run n sh -c "exit $code"; echo $?; done`, {
      env: { QSHM_DIRECTORY: directory.path },
    });
    expect(lines).toEqual(codes.map(String));
    expect(directory.entries()).toEqual([]);
  });

  for (const runtime of RUNTIMES) {
    it(`in ${runtime}: with COMMAND's own code, or 128 and the signal that ended it`, async () => {
      using directory = testDirectory();
      const env = { QSHM_DIRECTORY: directory.path };
      const { lines, stderr } = await script(
        runtime,
        `"$QSHM" run n sh -c 'exit 255'; echo $?
         for signal in HUP INT QUIT KILL SEGV PIPE TERM USR1; do "$QSHM" run n sh -c "ulimit -c 0; kill -$signal \\$\\$"; echo $?; done`,
        { env },
      );
      expect(lines).toEqual(["255", "129", "130", "131", "137", "139", "141", "143", "138"]);
      expect(stderr).toBe("");
      expect(directory.entries()).toEqual([]);
    });
  }

  it("with 64 for a mistake in how it is called", async () => {
    using directory = testDirectory();
    const env = { QSHM_DIRECTORY: directory.path };
    for (
      const [args, message] of [
        [[], "COMMAND is missing"],
        [[""], "there is no command"],
        [["rnu"], 'there is no command "rnu"'],
        [["run"], "NAME is missing"],
        [["run", "--wait"], "NAME is missing"],
        [["run", "n"], "COMMAND is missing"],
        [["run", "n", "--"], "COMMAND is missing"],
        [["run", "--", "n"], "COMMAND is missing"],
        [["run", "", "true"], "must not be empty"],
        [["run", "--forward-it", "n", "true"], "--forward-it"],
        [["run", "-x", "n", "true"], "-x"],
        [["run", "--wait=yes", "n", "true"], "--wait"],
        [["run", "--timeout", "n", "true"], "COMMAND is missing"], // n is the number
        [["run", "--timeout=soon", "n", "true"], "--timeout"],
        [["run", "--timeout=-1", "n", "true"], "--timeout"],
        [["run", "--timeout=", "n", "true"], "--timeout"],
        [["run", "--timeout=NaN", "n", "true"], "--timeout"],
        [["run", "--busy-exit=256", "n", "true"], "--busy-exit"],
        [["run", "--busy-exit=-1", "n", "true"], "--busy-exit"],
        [["run", "--busy-exit=1.5", "n", "true"], "--busy-exit"],
        [["run", "--busy-exit=", "n", "true"], "--busy-exit"],
        [["run", "--directory=", "n", "true"], "must not be empty"],
      ] as const
    ) {
      const { code, stdout, stderr } = await qshm(ANY, args, { env });
      expect(code, args.join(" ")).toBe(64);
      expect(stderr).toContain(message);
      expect(stdout).toBe("");
    }
    expect(directory.entries()).toEqual([]);
  });

  for (const runtime of RUNTIMES) {
    it(`in ${runtime}: with 70 when the library cannot be loaded`, async () => {
      const { code, stdout, stderr } = await qshm(runtime, ["run", "n", "echo", "ran"], { env: { QSHM_LIBRARY: "/nonexistent" } });
      expect(code).toBe(70);
      expect(stderr).toContain("/nonexistent");
      expect(stdout).toBe("");
    });
  }

  it("with 77 in a directory that is open to others", async () => {
    using directory = testDirectory();
    chmodSync(directory.path, 0o777);
    for (
      const how of [
        { args: ["run", "n", "echo", "ran"], env: { QSHM_DIRECTORY: directory.path } },
        { args: ["run", `--directory=${directory.path}`, "n", "echo", "ran"], env: {} },
      ]
    ) {
      const { code, stdout, stderr } = await qshm(ANY, how.args, { env: how.env });
      expect(code).toBe(77);
      expect(stderr).toContain("open to others");
      expect(stdout).toBe("");
    }
  });

  it("with 126 for what cannot be run, 127 for what is not there; a script needs no interpreter line", async () => {
    using directory = testDirectory();
    const place = mkdtempSync(`${tmpdir()}/qshm-commands-`);
    try {
      mkdirSync(`${place}/folder`);
      writeFileSync(`${place}/plain`, "exit 9\n", { mode: 0o644 });
      writeFileSync(`${place}/qshm-script`, "exit 9\n", { mode: 0o755 });
      writeFileSync(`${place}/orphan`, "#!/nonexistent/interpreter\n", { mode: 0o755 });
      const env = { QSHM_DIRECTORY: directory.path, PLACE: place };
      const { lines, stderr } = await script(
        ANY,
        `cd "$PLACE"; PATH=$PATH:$PLACE
         for command in ./plain plain ./folder ./nothing nothing '' ./orphan ./qshm-script qshm-script; do "$QSHM" run n "$command"; echo $?; done`,
        { env },
      );
      expect(lines).toEqual(["126", "126", "126", "127", "127", "127", "127", "9", "9"]);
      expect(stderr).toContain("qshm: ./plain: Permission denied\n");
      expect(stderr).toContain("qshm: nothing: command not found\n");
      expect(stderr.trimEnd().split("\n")).toHaveLength(7);
      expect(directory.entries()).toEqual([]);
    } finally {
      rmSync(place, { recursive: true });
    }
  });
});

describe("arguments", () => {
  for (const runtime of RUNTIMES) {
    it(`in ${runtime}: reach COMMAND byte for byte`, async () => {
      using directory = testDirectory();
      const bytes = String.raw`"$(printf '\377\376')" "$(printf 'a\nb')" "$(printf '\303')" "$(printf '\355\240\200')" '' "'\"" '$x' '*' é`;
      const long = `"$(head -c 102400 /dev/zero | tr '\\0' x)" "$(head -c 102400 /dev/zero | tr '\\0' '\\377')"`;
      for (
        const args of [
          `${bytes} "$(printf '\\357\\273\\277')--json" "$(printf '\\n\\n.')" --help -- -x --timeout=x ''`,
          `--help -- -x --json --wait --timeout=x --directory '' -`,
          `-- --help`,
          `$(seq 10000)`,
          `$(seq 10000) ${long}`,
        ]
      ) {
        const { lines, stderr } = await script(
          runtime,
          `set -f; set -- ${args}
           "$QSHM" run n sh -c 'cat /proc/$$/cmdline' "$@" | md5sum
           sh -c 'cat /proc/$$/cmdline' "$@" | md5sum`,
          { env: { QSHM_DIRECTORY: directory.path } },
        );
        expect(stderr).toBe("");
        expect(lines[0], args).toBe(lines[1]);
      }
    });

    it(`in ${runtime}: one -- behind NAME is ours, the next is COMMAND's`, async () => {
      using directory = testDirectory();
      const env = { QSHM_DIRECTORY: directory.path };
      expect((await qshm(runtime, ["run", "n", "--", "echo", "--", "x"], { env })).stdout).toBe("-- x\n");
      expect((await qshm(runtime, ["run", "n", "--", "--", "x"], { env })).code).toBe(127);
      expect((await qshm(runtime, ["run", "--", "--wait", "echo", "x"], { env })).stdout).toBe("x\n");
      expect((await qshm(runtime, ["run", "n", "sh", "-c", 'echo "$1"', "sh", "--help"], { env })).stdout).toBe("--help\n");
    });

    it(`in ${runtime}: NAME may be any text`, async () => {
      using directory = testDirectory();
      const env = { QSHM_DIRECTORY: directory.path };
      for (const name of ["é 日本", "../x", "line\nfeed", "x".repeat(5000)]) {
        await using holder = start(runtime, ["run", name, ...HOLD], { env });
        expect(await holder.line()).toBe("up");
        const { code, stderr } = await qshm(ANY, ["run", name, "true"], { env });
        expect(code).toBe(75);
        expect(stderr).toContain(`qshm: ${JSON.stringify(name)} is held by process`);
        expect(stderr.match(/\n/g), "one line").toHaveLength(1);
        expect((await holder.end()).status).toBe(0);
      }
      expect(directory.entries()).toEqual([]);
    });

    it(`in ${runtime}: an argument list that is left in the environment is nobody's`, async () => {
      using directory = testDirectory();
      const env = { QSHM_DIRECTORY: directory.path, QSHM_ARGUMENT_1: "status", QSHM_ARGUMENT_2: "other", QSHM_ARGUMENT_5: "x" };
      expect((await qshm(runtime, ["run", "n", "echo", "mine"], { env })).stdout).toBe("mine\n");
      expect((await qshm(runtime, ["run", "n", "echo", "é"], { env })).stdout).toBe("é\n");
    });
  }

  it.skipIf(!RUNTIMES.includes("node"))("in node: also when the process calls itself something else", async () => {
    using directory = testDirectory();
    const env = { QSHM_DIRECTORY: directory.path, NODE_OPTIONS: "--title=other" };
    expect((await qshm("node", ["run", "n", "echo", "ran"], { env })).stdout).toBe("ran\n");
  });
});

describe("held", () => {
  it("is told on one line that names process, start and command; or as JSON", async () => {
    using directory = testDirectory();
    const env = { QSHM_DIRECTORY: directory.path };
    const command = ["sh", "-c", "echo up $PPID\ncat", "two words", "it's"];
    await using holder = start(ANY, ["run", "n", ...command], { env });
    const pid = Number((await holder.line()).split(" ")[1]);
    const shown = String.raw`sh -c \$'echo up \$PPID\\ncat' 'two words' 'it'\\''s'`;
    const line = new RegExp(`^qshm: "n" is held by process ${pid} since \\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d: ${shown}\n$`);
    for (const runtime of RUNTIMES) {
      const { code, stdout, stderr } = await qshm(runtime, ["run", "n", "echo", "ran"], { env });
      expect({ code, stdout }).toEqual({ code: 75, stdout: "" });
      expect(stderr).toMatch(line);
      const json = await qshm(runtime, ["run", "--json", "--busy-exit=0", "n", "echo", "ran"], { env });
      expect({ code: json.code, stdout: json.stdout }).toEqual({ code: 0, stdout: "" });
      const report = JSON.parse(json.stderr);
      expect(report).toEqual({ name: "n", held: true, pid, startedAt: report.startedAt, args: command });
      expect(Math.abs(Date.parse(report.startedAt) - Date.now())).toBeLessThan(120_000);
    }
    expect((await qshm(ANY, ["run", "--busy-exit=255", "n", "true"], { env })).code).toBe(255);
    expect((await holder.end()).status).toBe(0);
    expect(directory.entries()).toEqual([]);
  });

  it("by a program that is not `qshm run`: the same", async () => {
    using directory = testDirectory();
    const env = { QSHM_DIRECTORY: directory.path };
    await using outer = start(ANY, ["run", "a", "sh", "-c", `"$0" run a true; echo $?; "$0" run b -- sh -c "\\"$0\\" status a; \\"$0\\" status b"`, "./launch.sh"], {
      env,
      cwd: new URL("../../src/cli/", import.meta.url).pathname,
    });
    const { lines, status } = await outer.end();
    expect(status).toBe(0);
    expect(lines[0]).toBe("75");
    expect(lines.filter((line) => /^"[ab]" is held by process/.test(line))).toHaveLength(2);
    expect(directory.entries()).toEqual([]);
  });
});

describe("waiting", () => {
  for (const [runtime, other] of PAIRS) {
    it(`in ${runtime} for a holder in ${other}: --timeout ends in 75, --wait runs`, async () => {
      using directory = testDirectory();
      const env = { QSHM_DIRECTORY: directory.path };
      await using holder = start(other, ["run", "n", ...HOLD], { env });
      expect(await holder.line()).toBe("up");
      const late = await qshm(runtime, ["run", "--timeout=0.05", "n", "echo", "ran"], { env });
      expect({ code: late.code, stdout: late.stdout }).toEqual({ code: 75, stdout: "" });
      expect(late.stderr).toMatch(/^qshm: "n" is held by process \d+ since .*\n$/);

      await using waiter = start(runtime, ["run", "--wait", "n", "echo", "ran"], { env });
      await using patient = start(runtime, ["run", "--timeout=1000", "n", "echo", "ran"], { env });
      await until(() => hasOpen(waiter.pid, directory.path) && hasOpen(patient.pid, directory.path));
      expect((await holder.end()).status).toBe(0);
      for (const one of [waiter, patient]) expect(await one.ended()).toEqual({ lines: ["ran"], status: 0 });
      expect(directory.entries()).toEqual([]);
    });

    it(`in ${runtime}: SIGINT and SIGTERM end it, and leave nothing`, async () => {
      using directory = testDirectory();
      const env = { QSHM_DIRECTORY: directory.path };
      await using holder = start(other, ["run", "n", ...HOLD], { env });
      expect(await holder.line()).toBe("up");
      for (const signal of ["SIGINT", "SIGTERM"] as const) {
        await using waiter = start(runtime, ["run", "--wait", "n", "echo", "ran"], { env });
        await until(() => hasOpen(waiter.pid, directory.path));
        waiter.child.kill(signal);
        expect(await waiter.ended()).toEqual({ lines: [], status: signal });
      }
      expect((await holder.end()).status).toBe(0);
      expect(directory.entries()).toEqual([]);
    });
  }
});

describe("many at once", () => {
  const starts = Array.from({ length: 30 }, (_, i) => RUNTIMES[i % RUNTIMES.length]!);

  it("exactly one of 30 runs", async () => {
    using directory = testDirectory();
    using place = testDirectory();
    const env = { QSHM_DIRECTORY: directory.path, LOCK: `${place.path}/lock` };
    await using all = new AsyncDisposableStack();
    const ended: { status: number | string; stderr: string }[] = [];
    const running = starts.map((runtime) => {
      const one = all.use(start(runtime, ["run", "n", "sh", "-c", 'mkdir "$LOCK" || exit 99; echo up; cat; rmdir "$LOCK"'], { env }));
      void one.ended().then(({ status }) => ended.push({ status, stderr: one.stderr }));
      return one;
    });
    await until(() => ended.length === starts.length - 1);
    expect(ended.map(({ status }) => status)).toEqual(Array(29).fill(75));
    for (const { stderr } of ended) expect(stderr).toMatch(/^qshm: "n" is held by .*\n$/);
    const one = running.find(({ child }) => child.exitCode === null)!;
    expect(await one.line()).toBe("up");
    expect((await one.end()).status).toBe(0);
    expect(directory.entries()).toEqual([]);
  });

  it("30 that wait run one at a time", async () => {
    using directory = testDirectory();
    using place = testDirectory();
    const env = { QSHM_DIRECTORY: directory.path, LOCK: `${place.path}/lock` };
    await using all = new AsyncDisposableStack();
    const running = starts.map((runtime) =>
      all.use(start(runtime, ["run", "--wait", "n", "sh", "-c", 'mkdir "$LOCK" || exit 99; rmdir "$LOCK"'], { env }))
    );
    const ends = await Promise.all(running.map(async (one) => [(await one.ended()).status, one.stderr]));
    expect(ends).toEqual(Array(30).fill([0, ""]));
    expect(directory.entries()).toEqual([]);
  });
});
