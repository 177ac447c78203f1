/**
 * `qshm run NAME true`, from start to end, beside flock(1) running true; and what of it is the runtime's own: a start of
 * the runtime with an empty script, and the launcher's share, which is what the rest does not explain.
 */

import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { commandOf } from "../../support/runtimes.ts";
import { Host } from "../host.ts";
import type { Group, Plan, Samples } from "../row.ts";

const RUNS = 25;

async function measure(plan: Plan): Promise<Samples> {
  const empty = `${plan.directory}/empty.js`;
  writeFileSync(empty, "");
  const runtime = commandOf(plan.runtime, empty);
  const launcher = `${dirname(plan.shipped)}/launch.sh`;
  const commands: Readonly<Record<string, readonly string[]>> = {
    "command.qshm": [launcher, "run", "bench", "true"],
    "command.flock": [execFileSync("sh", ["-c", "command -v flock"], { encoding: "utf8" }).trim(), `${plan.directory}/flock`, "true"],
    "command.runtime": [runtime.command, ...runtime.args],
  };
  const path = `${dirname(runtime.command)}:${process.env.PATH}`;
  const environment = { PATH: path, QSHM_RUNTIME: plan.runtime };
  const hosts = plan.subjects.map((name) => Host.inC(plan, ["spawn", "0", ...commands[name]!], { environment }));
  for (const host of hosts) await host.time("spawn", 2); // the runtime's caches fill
  const samples = new Map(plan.subjects.map((name): [string, number[]] => [name, []]));
  for (let run = 0; run < RUNS; run++) {
    for (let i = 0; i < hosts.length; i++) {
      const turn = (i + run) % hosts.length;
      samples.get(plan.subjects[turn]!)!.push(await hosts[turn]!.time("spawn", 1));
    }
  }
  await Promise.all(hosts.map((host) => host.end()));
  return samples;
}

/** See {@linkcode Group}. */
export const runGroup: Group = {
  name: "qshm run",
  rows: [
    { name: "true / flock(1) running true", ours: "command.qshm", rival: "command.flock" },
    { name: "true / an empty script in the runtime", ours: "command.qshm", rival: "command.runtime" },
  ],
  measure,
};
