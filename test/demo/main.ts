/** `npm run demo`: the main job on real processes, a line per step. Exits 0 only if every step came out as promised. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { testDirectory } from "../support/directory.ts";
import { commandOf, ROOT, type RuntimeName } from "../support/runtimes.ts";

using directory = testDirectory();
let failed = false;

interface Program {
  readonly child: ChildProcess;
  /** The next line that it prints; "" at its end. */
  line(): Promise<string>;
  /** Lets it finish. */
  end(): Promise<void>;
  kill(): Promise<void>;
}

function start(runtime: RuntimeName, program: string, ...parameters: string[]): Program {
  const { command, args } = commandOf(runtime, new URL(program, import.meta.url).pathname, parameters);
  const child = spawn(command, [...args], {
    env: { ...process.env, QSHM_DIRECTORY: directory.path, TMPDIR: directory.path },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  return {
    child,
    line: async () => (await lines.next()).value ?? "",
    end: async () => {
      child.stdin!.end();
      await exited;
    },
    kill: async () => {
      child.kill("SIGKILL");
      await exited;
    },
  };
}

/** The command's exit status, and what it said, without a time of day. */
async function qshm(...args: string[]): Promise<string> {
  const child = spawn(`${ROOT}src/cli/launch.sh`, args, {
    env: { ...process.env, PATH: `${ROOT}node_modules/.bin:${process.env.PATH}`, QSHM_DIRECTORY: directory.path },
  });
  const output: string[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (part) => output.push(String(part)));
  const [status] = await once(child, "close");
  return `${status}: ${output.join("").trim().replace(/ \d{4}-.*/, "")}`;
}

function report(step: string, came: string, promised: string | RegExp): void {
  const ok = typeof promised === "string" ? came === promised : promised.test(came);
  failed ||= !ok;
  console.log(`${ok ? "ok    " : "FAILED"} ${step}: ${came}${ok ? "" : `, promised was ${promised}`}`);
}

const starters = (["deno", "bun", "node"] as const).map((runtime) => start(runtime, "./guard.ts"));
const said = await Promise.all(starters.map((starter) => starter.line()));
const first = starters[said.indexOf("runs")];
report("Three start one guard at once", said.toSorted().join(", "), `process ${first?.child.pid} runs already, `.repeat(2) + "runs");
await Promise.all(starters.map((starter) => starter === first ? starter.kill() : starter.end()));
const next = start("bun", "./guard.ts");
report("The one that ran is killed (kill -9); the next", await next.line(), "runs, and knows that the last one crashed");
report("qshm run my-tool echo hello", await qshm("run", "my-tool", "echo", "hello"), `75: qshm: "my-tool" is held by process ${next.child.pid} since`);
await next.end();
report("It ends; qshm run my-tool echo hello", await qshm("run", "my-tool", "echo", "hello"), "0: hello");

const editor = start("deno", "./edit.ts", "/a");
await editor.line();
const later = start("bun", "./edit.ts", "/b");
report("An editor runs in Deno; in Bun, edit /b", await later.line(), `opened in process ${editor.child.pid}`);
const patient = start("node", "./edit.ts", "--wait", "/c");
await editor.line();
await editor.line();
editor.child.stdin!.write("/c\n");
await patient.end();
report("In Node, edit --wait /c; the editor closes /c, and it", `ends with ${patient.child.exitCode}`, "ends with 0");
await editor.end();

const writer = start("bun", "./write.ts");
report("Bun", await writer.line(), 'created 1024 bytes and wrote "Hello from Bun"');
const answerer = start("deno", "./answer.ts");
report("Deno", await answerer.line(), 'locked, read "Hello from Bun", wrote "Hello back from Deno"');
await answerer.end();
const looker = start("node", "./look.ts");
report("Node", await looker.line(), 'sees "Hello back from Deno"');
await looker.end();
await writer.end();
report("All three have detached", directory.entries().join() || "nothing is left", "nothing is left");

const owner = start("deno", "./own.ts");
report("Deno", await owner.line(), "holds the lock");
const waiter = start("bun", "./wait.ts");
report("Bun", await waiter.line(), `waits for process ${owner.child.pid}`);
await owner.kill();
report("Deno is killed (kill -9); Bun", await waiter.line(), "has the lock, ownerDied: true");
await waiter.end();
const script = start("bun", "./progress.ts");
report("A script in Bun", await script.line(), "has done 1 of 3");
const status = start("deno", "./status.ts");
report("A status command in Deno", await status.line(), "sees 1 of 3");
script.child.stdin!.end("go on");
report("The script goes on, and wakes it: it", await status.line(), "sees 3 of 3");
await status.end();
await script.end();

const producer = start("node", "./produce.ts");
report("A producer in Node", await producer.line(), "is ready");
const consumer = start("bun", "./consume.ts", "40", "1");
report("A consumer in Bun", await consumer.line(), "waits");
producer.child.stdin!.write("go\n");
report("100 items are made; the consumer", await consumer.line(), /^dealt with 40 and began one more, \d+ are left$/);
await consumer.kill();
const successor = start("deno", "./consume.ts", "60", "0");
await successor.line();
report("It is killed (kill -9); the next one, in Deno", await successor.line(), "dealt with 60, 0 are left");
await successor.end();
await producer.end();
const qtWriter = start("bun", "./qt_write.ts");
report("Qt's shared memory; Bun", await qtWriter.line(), 'wrote the QString "Hello from Bun"');
await qtWriter.kill();
const qtReader = start("node", "./qt_read.ts");
report("Bun is killed (kill -9); Node", await qtReader.line(), 'read "Hello from Bun"; a crash had left it: true');
await qtReader.end();
report("At the end", directory.entries().join() || "nothing is left", "nothing is left");

process.exitCode = failed ? 1 : 0;
