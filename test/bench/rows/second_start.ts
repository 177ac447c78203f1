/**
 * A second start of a program that runs already: it hands its arguments over, prints the reply, and exits with the code
 * that the first gave. Whole runs, from start to exit, less those of an empty script. Every program is first and second
 * alike; the first one runs all the time. The package is taken as shipped.
 */

import { spawnSync } from "node:child_process";
import { symlinkSync, writeFileSync } from "node:fs";
import { type Command, ROOT, type RuntimeName } from "../../support/runtimes.ts";
import { addedTime, type Script, scriptDirectory, writeScript } from "../added.ts";
import { Host } from "../host.ts";
import type { Group, Plan, Samples } from "../row.ts";

/** The exit code that the first one gives. */
const STATUS = 3;
const ARGS = ["--wait", "a.txt", "b.txt"];
const PRINTED = "opened --wait a.txt b.txt\n";

/** What Deno has without its `process`, which takes longer than all else here. */
const ENVIRONMENT: Readonly<Record<RuntimeName, string>> = {
  deno: "const { args, cwd, exit } = Deno;",
  bun: "const { cwd, exit } = process, args = process.argv.slice(2);",
  node: "const { cwd, exit } = process, args = process.argv.slice(2);",
};

/** What the first one does; it has no arguments, and tells by a line that it is there. Any other one is a failure. */
const WORK = `const isThere = () => args.length === 0 ? console.log(0) : exit(1);
  const reply = ({ args }) => ({ stdout: "opened " + args.join(" ") + "\\n", exitCode: ${STATUS} });`;

/** A line of JSON there, and one back. */
const socketPair = (path: string) => `import { connect, createServer } from "node:net";
  const onLine = (socket, take) => {
    let text = "";
    socket.setEncoding("utf8").on("data", (part) => (text += part).endsWith("\\n") && take(JSON.parse(text)));
  };
  const say = (socket, what) => socket.write(JSON.stringify(what) + "\\n");
  const serve = () => createServer((socket) => onLine(socket, (request) => say(socket, reply(request))))
    .listen(${JSON.stringify(path)}, isThere);
  const forward = (onError) => {
    const socket = connect(${JSON.stringify(path)}, () => say(socket, { args, cwd: cwd() })).on("error", onError);
    onLine(socket, ({ stdout, exitCode }) => {
      console.log(stdout.slice(0, -1));
      exit(exitCode);
    });
  };`;

/** The programs' sources. */
function sources({ shipped, directory }: Plan): Readonly<Record<string, string>> {
  return {
    "second.runSingleInstance": `import { runSingleInstance } from ${JSON.stringify(shipped)};
      exit(await runSingleInstance("second", { main: () => new Promise(isThere), onRequest: reply }));`,
    "second.node:net": `${socketPair(`${directory}/net`)}
      forward(serve);`,
    "second.proper-lockfile": `import { lock } from "proper-lockfile";
      ${socketPair(`${directory}/proper`)}
      lock(${JSON.stringify(`${directory}/proper-file`)}).then(serve, () => forward((error) => { throw error; }));`,
  };
}

/** Starts the first one; gives it when it is there. */
async function startFirst(command: Command, plan: Plan): Promise<Host> {
  const first = new Host(command, plan);
  await first.time("first", 0);
  return first;
}

/** Does it what it is measured for? */
function checkSecond(name: string, { command, args }: Command, { directory }: Plan): void {
  const env = { ...process.env, QSHM_DIRECTORY: directory, DENO_NO_UPDATE_CHECK: "1" };
  const { status, stdout, stderr } = spawnSync(command, args, { env, encoding: "utf8" });
  if (status !== STATUS || stdout !== PRINTED) {
    throw new Error(`"${name}" ended with ${status}, and printed ${JSON.stringify(stdout)} ${stderr}`);
  }
}

async function measure(plan: Plan): Promise<Samples> {
  symlinkSync(`${ROOT}test/bench/node_modules`, `${scriptDirectory(plan)}/node_modules`);
  writeFileSync(`${plan.directory}/proper-file`, "");
  const programs = sources(plan);
  const scripts = new Map<string, Script>();
  const firsts: Host[] = [];
  for (const name of plan.subjects) {
    const first = writeScript(plan, name, `${ENVIRONMENT[plan.runtime]} ${WORK} ${programs[name]!}`);
    const second = { command: first.command, args: [...first.args, ...ARGS] };
    firsts.push(await startFirst(first, plan));
    checkSecond(name, second, plan);
    scripts.set(name, { command: second, status: STATUS });
  }
  const samples = await addedTime(plan, scripts);
  for (const first of firsts) await first.kill();
  return samples;
}

const ours = "second.runSingleInstance";
const target = { fasterBy: 1.5 } as const;

/** See {@linkcode Group}. */
export const secondStartGroup: Group = {
  name: "second start added",
  rows: [
    { name: "runSingleInstance / node:net, Unix socket", ours, rival: "second.node:net", target },
    { name: "runSingleInstance / proper-lockfile and a socket", ours, rival: "second.proper-lockfile", target },
  ],
  measure,
};
