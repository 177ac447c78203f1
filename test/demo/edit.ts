/** edit [--wait] FILE...: opens files in the editor that runs, or is the editor. To type a file's name there closes it. */

import { resolve } from "node:path";
import { createInterface } from "node:readline";
import { runSingleInstance } from "../../mod.ts";

/** The files that are open; each promise resolves when its file is closed. */
const files = new Map<string, PromiseWithResolvers<void>>();
const quit = Promise.withResolvers<"quit">();

/** Opens files; resolves when all of them are closed. */
async function edit(args: readonly string[], cwd: string): Promise<"closed"> {
  const paths = args.filter((arg) => arg !== "--wait").map((arg) => resolve(cwd, arg));
  for (const path of paths.filter((path) => !files.has(path))) {
    files.set(path, Promise.withResolvers());
    console.log(`opened ${path}`);
  }
  await Promise.all(paths.map((path) => files.get(path)!.promise));
  return "closed";
}

async function main(): Promise<void> {
  void edit(process.argv.slice(2), process.cwd());
  for await (const line of createInterface({ input: process.stdin })) {
    files.get(resolve(line))?.resolve();
    files.delete(resolve(line));
  }
  quit.resolve("quit");
}

if (import.meta.main) {
  const code = await runSingleInstance("edit", {
    main,
    async onRequest({ args, cwd }) { // of a later start: what it returns is printed there
      const closed = edit(args, cwd);
      if (!args.includes("--wait")) return { stdout: `opened in process ${process.pid}\n` };
      return await Promise.race([closed, quit.promise]) === "closed" ? {} : { stderr: "the editor quit\n", exitCode: 1 };
    },
  });
  process.exit(code);
}
