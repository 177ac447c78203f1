/**
 * `npm version` calls this once package.json has its new version: brings deno.json and the change log along, and stages
 * them for npm's commit.
 */

import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";

function replace(file: string, from: RegExp, to: string): void {
  const text = readFileSync(file, "utf8");
  if (!from.test(text)) throw new Error(`${file} has nothing like ${from}`);
  writeFileSync(file, text.replace(from, to));
}

const { version } = JSON.parse(readFileSync("package.json", "utf8")) as { version: string };
replace("deno.json", /^  "version": ".*"/m, `  "version": "${version}"`);
if (!readFileSync("CHANGELOG.md", "utf8").includes(`\n## ${version}\n`)) {
  replace("CHANGELOG.md", /^## Unreleased$/m, `## ${version}`);
}
if (spawnSync("git", ["rev-parse", "--is-inside-work-tree"]).status === 0) {
  execFileSync("git", ["add", "deno.json", "CHANGELOG.md"]);
}
