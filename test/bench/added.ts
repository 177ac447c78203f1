/** Whole runs of scripts, from start to exit, in turn with an empty one whose time is subtracted. */

import { mkdirSync, writeFileSync } from "node:fs";
import { type Command, commandOf } from "../support/runtimes.ts";
import { Host } from "./host.ts";
import type { Plan, Samples, SubjectName } from "./row.ts";

/** Runs of each script. */
const RUNS = 25;

const EMPTY = "empty";

/** A script that ends by itself. */
export interface Script {
  readonly command: Command;
  /** What it exits with. */
  readonly status: number;
}

/** Where scripts are written. */
export function scriptDirectory({ directory }: Plan): string {
  const path = `${directory}/scripts`;
  mkdirSync(path, { recursive: true });
  writeFileSync(`${path}/package.json`, `{ "type": "module" }`);
  return path;
}

/** Writes a script; gives the command that runs it. */
export function writeScript(plan: Plan, name: string, source: string): Command {
  const path = `${scriptDirectory(plan)}/${name}.js`;
  writeFileSync(path, source);
  return commandOf(plan.runtime, path);
}

/** Measures scripts by what they add to an empty one. */
export async function addedTime(plan: Plan, scripts: ReadonlyMap<SubjectName, Script>): Promise<Samples> {
  const all = new Map(scripts).set(EMPTY, { command: writeScript(plan, EMPTY, ""), status: 0 });
  const hosts = [...all].map(([name, { command: { command, args }, status }]) => ({
    name,
    host: Host.inC(plan, ["spawn", `${status}`, command, ...args]),
  }));
  for (const { host } of hosts) await host.time("spawn", 2); // the runtime's caches fill
  const samples = new Map([...scripts.keys()].map((name): [string, number[]] => [name, []]));
  for (let run = 0; run < RUNS; run++) {
    const elapsed = new Map<string, number>();
    for (let i = 0; i < hosts.length; i++) {
      const { name, host } = hosts[(i + run) % hosts.length]!;
      elapsed.set(name, await host.time("spawn", 1));
    }
    for (const [name, values] of samples) values.push(elapsed.get(name)! - elapsed.get(EMPTY)!);
  }
  await Promise.all(hosts.map(({ host }) => host.end()));
  return samples;
}
