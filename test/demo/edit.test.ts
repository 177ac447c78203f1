/** README's editor: it stands there as it is here, and does what is promised in every runtime. */

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { inspect } from "../../mod.ts";
import { until } from "../cli/run/support.ts";
import { testDirectory } from "../support/directory.ts";
import { Program } from "../support/program.ts";
import { ROOT, type RuntimeName, RUNTIMES } from "../support/runtimes.ts";

const EDIT = new URL("./edit.ts", import.meta.url).pathname;

/** Runs `edit` to its end; gives its exit code, what it printed, and what it complained of. */
async function edit(runtime: RuntimeName, directory: string, ...args: string[]): Promise<[number | string, string, string]> {
  await using program = new Program(runtime, EDIT, { directory, args });
  let line = "";
  const ended = program.exited();
  line = await program.line().catch(() => "");
  return [await ended, line, program.stderr];
}

it("README shows it as it is", () => {
  const program = readFileSync(EDIT, "utf8").replace("../../mod.ts", "qshm");
  expect(readFileSync(`${ROOT}README.md`, "utf8")).toContain(`\`\`\`ts\n${program}\`\`\`\n`);
});

for (const [i, first] of RUNTIMES.entries()) {
  for (const [j, second] of RUNTIMES.entries()) {
    describe(`the editor in ${first}, started again in ${second}`, () => {
      const third = RUNTIMES[(i + j) % RUNTIMES.length]!;

      it("opens the files of later starts; with --wait those end when the file is closed", async () => {
        using directory = testDirectory();
        await using editor = new Program(first, EDIT, { directory: directory.path, args: ["/one"] });
        expect(await editor.line()).toBe("opened /one");
        expect(await edit(second, directory.path, "/two")).toEqual([0, `opened in process ${editor.pid}`, ""]);
        expect(await editor.line()).toBe("opened /two");
        await using waiting = new Program(second, EDIT, { directory: directory.path, args: ["--wait", "/three", "/two"] });
        expect(await editor.line()).toBe("opened /three");
        editor.say("/three");
        expect(await edit(third, directory.path, "here")).toEqual([0, `opened in process ${editor.pid}`, ""]);
        expect(await editor.line()).toBe(`opened ${process.cwd()}/here`);
        expect(inspect("instance", "edit", { directory: directory.path })?.instance?.pending).toBe(1);
        expect(waiting.child.exitCode).toBe(null); // /two is open
        editor.say("/two");
        expect(await waiting.exited(), waiting.stderr).toBe(0);
        editor.child.stdin!.end();
        expect(await editor.exited(), editor.stderr).toBe(0);
        expect(directory.entries()).toEqual([]);
      });

      it("tells those who wait when it quits, and when it is killed", async () => {
        using directory = testDirectory();
        for (const how of ["quits", "is killed"]) {
          await using editor = new Program(first, EDIT, { directory: directory.path });
          await until(() => inspect("instance", "edit", { directory: directory.path })?.instance?.held === true);
          await using waiting = new Program(second, EDIT, { directory: directory.path, args: ["--wait", "/a"] });
          expect(await editor.line()).toBe("opened /a");
          if (how === "quits") editor.child.stdin!.end();
          else process.kill(editor.pid, "SIGKILL");
          expect(await waiting.exited()).toBe(1);
          if (how === "quits") expect(waiting.stderr).toBe("the editor quit\n");
          else expect(waiting.stderr).toContain("NotRunningError");
          expect(await editor.exited()).toBe(how === "quits" ? 0 : "SIGKILL");
        }
      });
    });
  }
}
