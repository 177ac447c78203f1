/**
 * Holders that hang: who sends to them learns so, and who takes the guard over asks, and ends only who is proved to hold it:
 * no recycled pid, nobody in another PID namespace, nobody of another user, nothing that a killed wrapper has left.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, chownSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { createInterface } from "node:readline";
import { afterAll, describe, expect, it } from "vitest";
import { hand, hasEnded, start, until } from "../cli/run/support.ts";
import { environmentFor, LAUNCHER } from "../cli/support.ts";
import { testDirectory } from "../support/directory.ts";
import { poke } from "../support/kernel.ts";
import { Peer } from "../support/peer.ts";
import { commandOf, type RuntimeName, RUNTIMES } from "../support/runtimes.ts";
import { because, SKIPS } from "../support/skips.ts";
import { stateOf, stopped } from "../support/stopped.ts";

const NOBODY = 65534;
const OTHER = 65533;
const GROUP = 65500;
/** Where a holder tells its pid, and when it was started (c/src/layout.h). */
const INFO = { pid: 12288, started: 12304 } as const;

const program = (name: string): string => new URL(`./takeover/${name}.ts`, import.meta.url).pathname;
const homes: string[] = [];
afterAll(() => homes.forEach((home) => rmSync(home, { recursive: true, force: true })));

interface Told {
  readonly name: string;
  readonly message: string;
  readonly pid: number | null;
  readonly delivered?: string;
}

/** Takes the guard over, and lets it go again; whether the last one crashed, or the error. */
function replaceIn(peer: Peer, kill: boolean, grace = 20): Promise<boolean | Told> {
  return peer.run(({ SingleInstance }, _state, { kill, grace }): Promise<boolean | Told> =>
    SingleInstance.acquire("n", { replace: { grace, kill } }).then((guard) => {
      guard.release();
      return guard.recovered;
    }, ({ name, message, pid }) => ({ name, message, pid: pid ?? null })), { kill, grace });
}

function sendIn(peer: Peer): Promise<Told | null> {
  return peer.run(async ({ SingleInstance }): Promise<Told | null> => {
    const running = await SingleInstance.connect("n");
    const told = await running.send("x", { timeout: 50 }).then(() => null, ({ name, message, delivered }) => {
      return { name, message, pid: null, delivered };
    });
    running.close();
    return told;
  });
}

function holdIn(peer: Peer, mode = 0o600): Promise<void> {
  return peer.run(({ SingleInstance }, state, mode) => {
    state.guard = SingleInstance.tryAcquire("n", { mode });
    state.guard.serve(({ data }: { data: string }) => ({ data }));
  }, mode);
}

/** Resolves once the holder knows that it was asked to leave; it lives. */
function asked(holder: Peer): Promise<void> {
  return holder.run(async (_api, { guard }) => {
    while (!guard.replaced.aborted) await new Promise((resolve) => guard.replaced.addEventListener("abort", resolve));
  });
}

/** A process in a PID namespace of its own; its lines. */
class Enclosed implements AsyncDisposable {
  readonly child: ChildProcess;
  readonly lines: string[] = [];
  readonly #closed: Promise<unknown>;

  constructor(command: string, args: readonly string[], env: NodeJS.ProcessEnv) {
    this.child = spawn("unshare", ["--pid", "--fork", "--mount-proc", "--kill-child", command, ...args], { env });
    this.child.stderr!.on("data", (text) => /^(sh: \d+: )?Killed/.test(text) || this.lines.push(`stderr: ${text}`));
    createInterface({ input: this.child.stdout! }).on("line", (line) => this.lines.push(line));
    this.#closed = new Promise((resolve) => this.child.once("close", resolve));
  }

  /** Waits for so many lines, or its end. */
  async said(count: number): Promise<string[]> {
    await Promise.race([this.#closed, until(() => this.lines.length >= count)]);
    return this.lines;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.stdin!.end();
    await this.#closed;
  }
}

describe.concurrent("takeover", () => {
  for (const [i, runtime] of RUNTIMES.entries()) {
    const next = RUNTIMES[(i + 1) % RUNTIMES.length]!;

    it(`a holder in ${runtime} that is stopped is told of, asked, and killed only when that is wished`, async () => {
      using directory = testDirectory();
      await using holder = await Peer.start(runtime, { directory: directory.path });
      await using other = await Peer.start(next, { directory: directory.path });
      await holdIn(holder);
      holder.signal("SIGSTOP");
      await stopped(holder.pid);
      const told = await sendIn(other);
      const message = expect.stringContaining(`not accepted by process ${holder.pid}`);
      expect(told).toMatchObject({ name: "TimeoutError", delivered: "no", message });
      const refused = await replaceIn(other, false);
      expect(refused).toMatchObject({ name: "AlreadyRunningError", pid: holder.pid });
      expect(stateOf(holder.pid)).toBe("T");
      expect(await replaceIn(other, true)).toBe(true);
      expect(await holder.exited()).toBe("SIGKILL"); // SIGTERM waits until it goes on
      expect(directory.entries()).toEqual([]);
    });

    for (const [what, handles, signal] of [["ends", false, "SIGTERM"], ["does not end", true, "SIGKILL"]] as const) {
      it(`a holder in ${runtime} whose event loop never turns, and that ${what} with SIGTERM, is ended by ${signal}`, async () => {
        using directory = testDirectory();
        await using holder = await Peer.start(runtime, { directory: directory.path });
        await using other = await Peer.start(next, { directory: directory.path });
        await holdIn(holder);
        await holder.run((_api, _state, handles) => {
          if (handles) process.on("SIGTERM", () => {});
          setImmediate(() => {
            for (;;);
          });
        }, handles);
        const message = expect.stringContaining(`not accepted by process ${holder.pid}`);
        expect(await sendIn(other)).toMatchObject({ name: "TimeoutError", delivered: "no", message });
        expect(await replaceIn(other, false)).toMatchObject({ name: "AlreadyRunningError", pid: holder.pid });
        expect(stateOf(holder.pid)).toBe("R");
        // Long enough for one that ends to have ended.
        expect(await replaceIn(other, true, handles ? 20 : 1000)).toBe(true);
        expect(await holder.exited()).toBe(signal);
        expect(directory.entries()).toEqual([]);
      });
    }

    it(`a holder in ${runtime} that leaves when it is asked is not signalled`, async () => {
      using directory = testDirectory();
      await using holder = await Peer.start(runtime, { directory: directory.path });
      await using other = await Peer.start(next, { directory: directory.path });
      await holdIn(holder);
      await holder.run((_api, { guard }) => guard.replaced.addEventListener("abort", () => guard.release()));
      expect(await replaceIn(other, true, 60_000)).toBe(false);
      expect(await holder.run(() => "lives")).toBe("lives");
      expect(directory.entries()).toEqual([]);
    });

    it(`a process in ${runtime} that has the holder's pid and does not hold the guard is not signalled`, async () => {
      using directory = testDirectory();
      const options = { directory: directory.path };
      await using holder = await Peer.start(runtime, options);
      await using bystander = await Peer.start(runtime, options);
      await using other = await Peer.start(next, options);
      await holdIn(holder);
      const path = `${directory.path}/i-n`;
      const started = await bystander.run(({ SingleInstance }) => {
        const guard = SingleInstance.tryAcquire("started")!;
        return SingleInstance.connect("started").then(({ info }) => {
          guard.release();
          return info.startedAt!.getTime();
        });
      });
      poke(path, INFO.pid, new Uint8Array(Uint32Array.of(bystander.pid).buffer));
      for (const tells of [undefined, started]) {
        if (tells !== undefined) poke(path, INFO.started, new Uint8Array(Float64Array.of(tells).buffer));
        const refused = await replaceIn(other, true);
        const message = expect.stringContaining(`process ${bystander.pid} has left`);
        expect(refused).toMatchObject({ name: "NotFoundError", message });
        expect(await bystander.run(() => "lives")).toBe("lives");
        expect(await holder.run(() => "lives")).toBe("lives");
      }
      await holder.run((_api, { guard }) => guard.release());
      expect(directory.entries()).toEqual([]);
    });

    it(`a COMMAND in ${runtime} whose wrapper was killed is not signalled`, async () => {
      using directory = testDirectory();
      using place = testDirectory();
      using held = hand(place.path);
      await using other = await Peer.start(next, { directory: directory.path });
      const command = ["sh", "-c", 'echo $$; exec cat <"$0"', held.path];
      await using running = start(runtime, ["run", "n", ...command], { env: { QSHM_DIRECTORY: directory.path } });
      const pid = Number(await running.line());
      process.kill(running.pid, "SIGKILL");
      await until(() => running.child.signalCode === "SIGKILL");
      const refused = await replaceIn(other, true);
      const message = expect.stringContaining(`process ${running.pid} has left`);
      expect(refused).toMatchObject({ name: "NotFoundError", message });
      expect(hasEnded(pid)).toBe(false);
      held.letGo();
      await until(() => hasEnded(pid));
      expect(await replaceIn(other, true)).toBe(true);
      expect(directory.entries()).toEqual([]);
    });

    it.skipIf(SKIPS.root)(
      because(`a process in ${runtime} that got the pid of a killed wrapper is not signalled`, SKIPS.root),
      async () => {
        using directory = testDirectory();
        using place = testDirectory();
        using held = hand(place.path);
        const { command, args } = commandOf(next, program("replace"), ["n", "kill"]);
        // In a PID namespace of its own the next pid can be chosen.
        const script = `mkfifo "$UP"; "$QSHM" run n -- sh -c 'echo up >"$1"; exec cat <"$0"' "$HAND" "$UP" & wrapper=$!
          read up <"$UP"; kill -9 $wrapper; wait $wrapper
          echo $((wrapper - 1)) >/proc/sys/kernel/ns_last_pid; sleep 1000 & sleeper=$!
          test $sleeper = $wrapper && echo recycled; "$@"
          kill -0 $sleeper && echo lives; kill $sleeper`;
        const paths = { QSHM: LAUNCHER, QSHM_DIRECTORY: directory.path, HAND: held.path, UP: `${place.path}/up` };
        const env = { ...environmentFor(runtime), ...paths };
        await using enclosed = new Enclosed("sh", ["-c", script, "sh", command, ...args], env);
        expect(await enclosed.said(3)).toEqual([
          "recycled",
          expect.stringMatching(/^NotFoundError: .* has left behind/),
          "lives",
        ]);
        held.letGo();
      },
    );

    it.skipIf(SKIPS.root)(
      because(`a holder in ${runtime} in another PID namespace is not signalled, nor does one there signal`, SKIPS.root),
      async () => {
        using directory = testDirectory();
        const env = { ...process.env, QSHM_DIRECTORY: directory.path };
        await using other = await Peer.start(next, { directory: directory.path });
        {
          const { command, args } = commandOf(runtime, program("hold"), ["n"]);
          await using enclosed = new Enclosed(command, args, env);
          expect(await enclosed.said(1)).toEqual(["holds false"]);
          expect(await replaceIn(other, true)).toMatchObject({
            name: "PermissionDeniedError",
            message: expect.stringContaining("another PID namespace"),
          });
          expect(await enclosed.said(2)).toEqual(["holds false", "asked"]);
        }
        await holdIn(other);
        const { command, args } = commandOf(runtime, program("replace"), ["n", "kill"]);
        await using enclosed = new Enclosed(command, args, env);
        expect(await enclosed.said(1)).toEqual([expect.stringMatching(/^PermissionDeniedError: .*another PID namespace/)]);
        await asked(other);
        await other.run((_api, { guard }) => guard.release());
        expect(directory.entries()).toEqual([]);
      },
    );

    it.skipIf(SKIPS.root)(because(`a holder in ${runtime} of another user is asked, and not signalled`, SKIPS.root), async () => {
      using directory = testDirectory();
      chownSync(directory.path, 0, GROUP);
      chmodSync(directory.path, 0o770);
      const startAs = (uid: number, runtime: RuntimeName): Promise<Peer> => {
        const home = mkdtempSync(`${tmpdir()}/qshm-home-`);
        homes.push(home);
        chownSync(home, uid, GROUP);
        return Peer.start(runtime, { directory: directory.path, uid, gid: GROUP, env: { HOME: home, DENO_DIR: home } });
      };
      await using holder = await startAs(NOBODY, runtime);
      await holdIn(holder, 0o660);
      for (const uid of [OTHER, 0]) {
        await using other = await startAs(uid, next);
        expect(await replaceIn(other, true)).toMatchObject({
          name: "PermissionDeniedError",
          message: expect.stringContaining(`user ${NOBODY}`),
        });
        await asked(holder);
      }
      await holder.run((_api, { guard }) => guard.release());
    });
  }
});
