/** `qshm run` and who holds the name: COMMAND, when the wrapper is killed; nobody, when the wrapper saw it end. */

import { describe, expect, it } from "vitest";
import { testDirectory } from "../support/directory.ts";
import { RUNTIMES } from "../support/runtimes.ts";
import { stateOf } from "../support/stopped.ts";
import { hand, hasEnded, script, start, until } from "./run/support.ts";
import { qshm } from "./support.ts";

describe("holding", () => {
  for (const [i, runtime] of RUNTIMES.entries()) {
    const other = RUNTIMES[(i + 1) % RUNTIMES.length]!;

    it(`in ${runtime}: COMMAND holds the name when the wrapper is killed, and no longer than it lives`, async () => {
      using directory = testDirectory();
      using place = testDirectory();
      using held = hand(place.path);
      const env = { QSHM_DIRECTORY: directory.path };
      const command = ["sh", "-c", 'echo $$; exec cat <"$0"', held.path];
      await using running = start(runtime, ["run", "n", ...command], { env });
      const pid = Number(await running.line());
      const before = JSON.parse((await qshm(other, ["status", "--json", "n"], { env })).stdout);
      expect(before).toMatchObject({ held: true, pid: running.pid, args: command });
      process.kill(running.pid, "SIGKILL");
      await until(() => running.child.signalCode === "SIGKILL");
      const after = JSON.parse((await qshm(other, ["status", "--json", "n"], { env })).stdout);
      expect(after).toMatchObject({ held: true, pid, args: before.args, problem: null });
      const refused = await qshm(other, ["run", "n", "echo", "ran"], { env });
      expect({ code: refused.code, stdout: refused.stdout }).toEqual({ code: 75, stdout: "" });
      expect(refused.stderr).toContain(`is held by process ${pid} since `);
      held.letGo();
      await until(() => hasEnded(pid));
      expect((await qshm(other, ["status", "n"], { env })).stdout).toBe('"n" is free\n');
      expect(await qshm(other, ["run", "n", "echo", "ran"], { env })).toMatchObject({ code: 0, stdout: "ran\n", stderr: "" });
      expect(directory.entries()).toEqual([]);
    });

    it(`in ${runtime}: what COMMAND leaves behind holds nothing, unless the wrapper was killed`, async () => {
      using directory = testDirectory();
      const env = { QSHM_DIRECTORY: directory.path };
      for (const killed of [false, true]) {
        using place = testDirectory();
        using held = hand(place.path);
        await using running = start(runtime, ["run", "n", "sh", "-c", 'cat <"$0" >/dev/null 2>&1 & echo $! $$; cat', held.path], { env });
        const [child, pid] = (await running.line()).split(" ").map(Number) as [number, number];
        if (killed) process.kill(running.pid, "SIGKILL"); // its end closes COMMAND's input
        else running.child.stdin!.end();
        await until(() => hasEnded(pid) && (running.child.exitCode ?? running.child.signalCode) !== null);
        expect(["R", "S"]).toContain(stateOf(child));
        expect((await qshm(other, ["status", "n"], { env })).code, killed ? "held" : "free").toBe(killed ? 0 : 1);
        held.letGo();
        await until(() => hasEnded(child));
        expect((await qshm(other, ["status", "n"], { env })).code).toBe(1);
        await qshm(other, ["run", "n", "true"], { env });
        expect(directory.entries()).toEqual([]);
      }
    });

    it(`in ${runtime}: one within the other, and the same name within itself`, async () => {
      using directory = testDirectory();
      const { lines, stderr } = await script(
        runtime,
        `"$QSHM" run a -- "$QSHM" run b -- sh -c '"$QSHM" status a; "$QSHM" status b; "$QSHM" run a echo ran; echo $?; exit 3'; echo $?`,
        { env: { QSHM_DIRECTORY: directory.path } },
      );
      expect(lines.filter((line) => /^"[ab]" is held by process \d+ since/.test(line))).toHaveLength(2);
      expect(lines.slice(-2)).toEqual(["75", "3"]);
      expect(stderr).toMatch(/^qshm: "a" is held by process .*\n$/);
      expect(directory.entries()).toEqual([]);
    });
  }
});
