/** One version: package.json, deno.json and the change log say the same, and `npm version` keeps it so. */

import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { describe, expect, it } from "vitest";
import { ROOT } from "../support/runtimes.ts";

interface Copy extends Disposable {
  run(command: string, ...args: string[]): string;
  read(file: string): string;
  write(file: string, text: string): void;
}

/** As much of the project as `npm version` looks at, elsewhere. */
function copy(): Copy {
  const place = mkdtempSync(`${tmpdir()}/qshm-version-`);
  for (const file of ["package.json", "package-lock.json", "deno.json", "CHANGELOG.md", ".ci"]) {
    cpSync(`${ROOT}${file}`, `${place}/${file}`, { recursive: true });
  }
  symlinkSync(`${ROOT}node_modules`, `${place}/node_modules`);
  const names = ["author", "committer"].flatMap((who) => [[`GIT_${who.toUpperCase()}_NAME`, "a"], [`GIT_${who.toUpperCase()}_EMAIL`, "a@example.invalid"]]);
  const env = {
    ...process.env,
    ...Object.fromEntries(names),
    GIT_CEILING_DIRECTORIES: tmpdir(), // whatever is above it
    GIT_CONFIG_GLOBAL: "/dev/null",
    GIT_CONFIG_SYSTEM: "/dev/null",
  };
  for (const name of ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"]) delete (env as NodeJS.ProcessEnv)[name];
  return {
    run: (command, ...args) => execFileSync(command, args, { cwd: place, env, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).trim(),
    read: (file) => readFileSync(`${place}/${file}`, "utf8"),
    write: (file, text) => writeFileSync(`${place}/${file}`, text),
    [Symbol.dispose]: () => rmSync(place, { recursive: true, force: true }),
  };
}

const versions = (read: (file: string) => string): string[] => {
  const lock = JSON.parse(read("package-lock.json"));
  return [JSON.parse(read("package.json")).version, JSON.parse(read("deno.json")).version, lock.version, lock.packages[""].version];
};

describe("the version", () => {
  it("is the same for npm and for JSR, and the change log tells of it", () => {
    const read = (file: string): string => readFileSync(ROOT + file, "utf8");
    const [version, ...others] = versions(read);
    expect(others).toEqual(others.map(() => version));
    expect(read("CHANGELOG.md")).toMatch(new RegExp(`^## ${version!.replaceAll(".", "\\.")}$`, "m"));
  });

  it("is changed everywhere by `npm version`, without a repository too", () => {
    using project = copy();
    project.write("CHANGELOG.md", project.read("CHANGELOG.md").replace("\n## ", "\n## Unreleased\n\n- News.\n\n## "));
    expect(project.run("npm", "version", "9.8.7", "--no-git-tag-version").split("\n").at(-1)).toBe("v9.8.7");
    expect(new Set(versions(project.read))).toEqual(new Set(["9.8.7"]));
    expect(project.read("CHANGELOG.md")).toContain("\n## 9.8.7\n\n- News.\n");
  });

  it("is committed and tagged by it in one step", () => {
    using project = copy();
    project.write(".gitignore", "node_modules\n");
    project.write("CHANGELOG.md", project.read("CHANGELOG.md").replace("\n## ", "\n## Unreleased\n\n- News.\n\n## "));
    project.run("git", "init", "--quiet");
    project.run("git", "add", ".");
    project.run("git", "commit", "--quiet", "--message", "First");
    project.run("npm", "version", "9.8.7");
    expect(project.run("git", "tag")).toBe("v9.8.7");
    expect(project.run("git", "status", "--porcelain")).toBe("");
    expect(new Set(versions((file) => project.run("git", "show", `v9.8.7:${file}`)))).toEqual(new Set(["9.8.7"]));
  });

  it("is not changed when the change log has nothing to tell", () => {
    using project = copy();
    expect(() => project.run("npm", "version", "9.8.7", "--no-git-tag-version")).toThrow(/CHANGELOG\.md has nothing like/);
  });
});
