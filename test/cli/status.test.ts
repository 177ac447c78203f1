/** `qshm status`: who holds a name. */

import { chmodSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { testDirectory } from "../support/directory.ts";
import { Peer } from "../support/peer.ts";
import { RUNTIMES } from "../support/runtimes.ts";
import { stopped } from "../support/stopped.ts";
import { qshm } from "./support.ts";

const KEYS = ["name", "held", "pid", "startedAt", "args", "cwd", "data", "dataBase64", "problem", "pending"];

describe("status", () => {
  for (const [i, runtime] of RUNTIMES.entries()) {
    const other = RUNTIMES[(i + 1) % RUNTIMES.length]!;

    it(`in ${runtime}: nobody`, async () => {
      using directory = testDirectory();
      const env = { QSHM_DIRECTORY: directory.path };
      expect(await qshm(runtime, ["status", "n"], { env })).toMatchObject({ code: 1, stdout: '"n" is free\n', stderr: "" });
      const { code, stdout, stderr } = await qshm(runtime, ["status", "n", "--json"], { env });
      expect({ code, stderr }).toEqual({ code: 1, stderr: "" });
      expect(Object.entries(JSON.parse(stdout))).toEqual(
        KEYS.map((key) => [key, key === "name" ? "n" : key === "held" ? false : key === "pending" ? 0 : null]),
      );
      expect(directory.entries()).toEqual([]);
    });

    it(`in ${runtime}: a program in ${other} that tells data, as JSON and as bytes, running or stopped`, async () => {
      using directory = testDirectory();
      const env = { QSHM_DIRECTORY: directory.path };
      await using peer = await Peer.start(other, { directory: directory.path });
      await peer.run(({ SingleInstance }, state) => {
        const args = ["serve", "two words", "é\n"];
        state.json = SingleInstance.tryAcquire("json", { args, data: { port: 8080, names: ["ä", null, true] } });
        state.bytes = SingleInstance.tryAcquire("bytes", { args: [], data: new Uint8Array([0, 255, 128, 10]) });
        state.nothing = SingleInstance.tryAcquire("nothing", { args: [] });
      });
      const before = directory.entries();
      for (const isStopped of [false, true]) {
        if (isStopped) {
          peer.signal("SIGSTOP");
          await stopped(peer.pid);
        }
        const json = await qshm(runtime, ["status", "--json", "json"], { env });
        expect(json).toMatchObject({ code: 0, stderr: "" });
        const report = JSON.parse(json.stdout);
        expect(Object.keys(report)).toEqual(KEYS);
        expect(Math.abs(Date.parse(report.startedAt) - Date.now())).toBeLessThan(120_000);
        expect(report).toMatchObject({
          name: "json",
          held: true,
          pid: peer.pid,
          args: ["serve", "two words", "é\n"],
          cwd: process.cwd(),
          data: { port: 8080, names: ["ä", null, true] },
          dataBase64: null,
          problem: null,
          pending: 0,
        });
        const bytes = await qshm(runtime, ["status", "--json", "bytes"], { env });
        expect(JSON.parse(bytes.stdout)).toMatchObject({ held: true, args: [], data: null, dataBase64: "AP+ACg==" });
        const nothing = await qshm(runtime, ["status", "--json", "nothing"], { env });
        expect(JSON.parse(nothing.stdout)).toMatchObject({ held: true, data: null, dataBase64: null });
      }
      const { code, stdout } = await qshm(runtime, ["status", "json"], { env });
      expect(code).toBe(0);
      const lines = stdout.trimEnd().split("\n");
      expect(lines[0]).toMatch(new RegExp(`^"json" is held by process ${peer.pid} since \\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d$`));
      expect(lines[1]).toMatch(/^ {2}command +serve 'two words' \$'é\\n'$/);
      expect(lines[2]).toMatch(/^ {2}directory +\//);
      expect(lines[3]).toMatch(/^ {2}data +\{"port":8080,/);
      expect(lines).toHaveLength(4);
      expect((await qshm(runtime, ["status", "bytes"], { env })).stdout).toMatch(/\n {2}data +4 bytes\n$/);
      expect(directory.entries()).toEqual(before);
      peer.signal("SIGCONT");
    });
  }

  it("mistakes, and a directory that is open to others", async () => {
    using directory = testDirectory();
    const env = { QSHM_DIRECTORY: directory.path };
    for (const args of [[], ["a", "b"], [""], ["--jsno", "n"], ["--json=yes", "n"], ["--directory", "--json", "n"]]) {
      const { code, stdout, stderr } = await qshm(RUNTIMES[0]!, ["status", ...args], { env });
      expect({ code, stdout }, args.join(" ")).toEqual({ code: 64, stdout: "" });
      expect(stderr).toMatch(/^qshm: /);
    }
    expect((await qshm(RUNTIMES[0]!, ["status", "--", "--json"], { env })).stdout).toBe('"--json" is free\n');
    chmodSync(directory.path, 0o777);
    expect(await qshm(RUNTIMES[0]!, ["status", "n"], { env })).toMatchObject({ code: 77, stdout: "" });
  });
});
