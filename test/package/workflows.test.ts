/** The workflows: they say what the project can do, and publish nothing that has not passed `.ci/run`. */

import { execFileSync, spawnSync } from "node:child_process";
import { accessSync, chmodSync, constants, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { afterAll, describe, expect, it } from "vitest";
import { ROOT } from "../support/runtimes.ts";

interface Step {
  readonly name?: string;
  readonly uses?: string;
  readonly run?: string;
  readonly env?: Readonly<Record<string, string>>;
}

interface Job {
  readonly needs?: readonly string[];
  readonly permissions?: Readonly<Record<string, string>>;
  readonly "timeout-minutes": number;
  readonly steps: readonly Step[];
}

interface Workflow {
  readonly on: { readonly push: { readonly branches?: readonly string[]; readonly tags?: readonly string[] } };
  readonly permissions: Readonly<Record<string, string>>;
  readonly jobs: Readonly<Record<string, Job>>;
}

const FOLDER = `${ROOT}.github/workflows/`;
const home = mkdtempSync(`${tmpdir()}/qshm-workflows-`);
const read = (path: string): string => readFileSync(ROOT + path, "utf8");

/** Reads YAML by Bun, which has a parser. */
function parse(name: string): Workflow {
  const program = `console.log(JSON.stringify(Bun.YAML.parse(await Bun.file(${JSON.stringify(FOLDER + name)}).text())))`;
  return JSON.parse(execFileSync(`${ROOT}node_modules/.bin/bun`, ["-e", program], { encoding: "utf8" }));
}

const workflows = Object.fromEntries(readdirSync(FOLDER).map((name) => [name, parse(name)]));
const ci = workflows["ci.yml"]!;
const release = workflows["release.yml"]!;
const jobs = Object.entries(workflows).flatMap(([file, { jobs }]) => Object.entries(jobs).map(([name, job]) => [`${file}, ${name}`, job] as const));
const script = (job: string, step: string): string => release.jobs[job]!.steps.find(({ name }) => name === step)!.run!;

/** Runs a step's script in a folder, as the workflow would. */
function runStep(text: string, cwd: string, env: Readonly<Record<string, string>>): { status: number | null; stderr: string } {
  const args = ["--noprofile", "--norc", "-eo", "pipefail", "-c", text];
  const { status, stderr } = spawnSync("bash", args, { cwd, env: { PATH: process.env.PATH, ...env }, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  return { status, stderr };
}

afterAll(() => rmSync(home, { recursive: true, force: true }));

describe("the workflows", () => {
  it("are these two", () => expect(Object.keys(workflows).sort()).toEqual(["ci.yml", "release.yml"]));

  it("may read, and write only where they have to; none runs for ever", () => {
    for (const [file, { permissions }] of Object.entries(workflows)) expect(permissions, file).toEqual({ contents: "read" });
    for (const [name, job] of jobs) expect(job["timeout-minutes"], name).toBeGreaterThan(0);
    const more = Object.entries(release.jobs).filter(([, { permissions }]) => permissions !== undefined);
    expect(Object.fromEntries(more.map(([name, { permissions }]) => [name, permissions]))).toEqual({
      npm: { contents: "read", "id-token": "write" },
      jsr: { contents: "read", "id-token": "write" },
      github: { contents: "write" },
    });
  });

  it("use GitHub's own actions, each of a certain version", () => {
    for (const [name, { steps }] of jobs) {
      for (const { uses } of steps) if (uses !== undefined) expect(uses, name).toMatch(/^actions\/[\w-]+@v\d+$/);
    }
  });

  it("test by .ci/run, on both processors and as both kinds of user, for every push and before anything is published", () => {
    expect(ci.on.push.branches).toEqual(["main"]);
    expect(ci.on).toHaveProperty("pull_request");
    expect(ci.jobs.test).toMatchObject({
      strategy: { matrix: { machine: ["ubuntu-24.04", "ubuntu-24.04-arm"], user: ["root", "ordinary"] } },
    });
    expect(ci.jobs.test!.steps.flatMap(({ run }) => run ?? [])).toEqual(["sudo .ci/run", ".ci/run"]);
    expect(release.on.push).toEqual({ tags: ["v*"] });
    expect(release.jobs.test!.steps.flatMap(({ run }) => run ?? [])).toEqual(["sudo .ci/run"]);
    for (const name of ["npm", "jsr"]) expect(release.jobs[name]!.needs, name).toEqual(["test", "pack"]);
    expect(release.jobs.github!.needs).toEqual(["npm", "jsr"]);
  });

  it("run only what is there", () => {
    accessSync(`${ROOT}.ci/run`, constants.X_OK);
    execFileSync("bash", ["-n", `${ROOT}.ci/run`]);
    const { scripts, devDependencies } = JSON.parse(read("package.json"));
    const texts = [...jobs.flatMap(([, { steps }]) => steps.flatMap(({ run }) => run ?? [])), read(".ci/run")];
    for (const text of texts) {
      for (const [, name] of text.matchAll(/\bnpm run (?:--silent )?(\w+)/g)) expect(scripts).toHaveProperty(name!);
      for (const [, name] of text.matchAll(/\bmake -C c (\w+)/g)) expect(read("c/Makefile")).toMatch(new RegExp(`^${name}:`, "m"));
      for (const [, name] of text.matchAll(/\bnode_modules\/\.bin\/(\w+)/g)) expect(devDependencies).toHaveProperty(name!);
    }
  });

  it("install for the other processor what the Makefile names for it", () => {
    const packages = /^PACKAGE_arm64 := (.*)$/m.exec(read("c/Makefile"))![1]!;
    expect(script("pack", "Install the cross compiler")).toContain(`apt-get install -y -qq ${packages}`);
    expect(read(".ci/run")).toContain(`(${packages})`);
  });

  it("need one secret", () => {
    const secrets = Object.keys(workflows).flatMap((name) => [...read(`.github/workflows/${name}`).matchAll(/\bsecrets\.(\w+)/g)].map(([, secret]) => secret));
    expect(secrets).toEqual(["NPM_TOKEN"]);
    expect(release.jobs.npm!.steps.at(-1)!.env).toEqual({ NPM_TOKEN: "${{ secrets.NPM_TOKEN }}" });
  });

  it("release a tag only if it is the package's version", () => {
    const text = script("pack", "Check that the tag is the version");
    const { version } = JSON.parse(read("package.json"));
    expect(runStep(text, ROOT, { GITHUB_REF_NAME: `v${version}` }).status).toBe(0);
    expect(runStep(text, ROOT, { GITHUB_REF_NAME: `v${version}1` }).status).toBe(1);
  });

  it("release what is packed and built with checksums, and what the change log says of this version alone", () => {
    const folder = `${home}/pack`;
    mkdirSync(`${folder}/ffi/lib`, { recursive: true });
    mkdirSync(`${folder}/c`);
    for (const file of ["qshm-9.8.7.tgz", "ffi/lib/linux-x64.so", "ffi/lib/linux-arm64.so", "c/qshm.h"]) writeFileSync(`${folder}/${file}`, file);
    writeFileSync(`${folder}/CHANGELOG.md`, "# Change log\n\n## 9.8.8\n\n- Later.\n\n## 9.8.7\n\n- This.\n\n## 9.8.6\n\n- Earlier.\n");
    expect(runStep(script("pack", "Checksums, and what is new"), folder, { GITHUB_REF_NAME: "v9.8.7" })).toEqual({ status: 0, stderr: "" });
    expect(readFileSync(`${folder}/release/NOTES.md`, "utf8")).toBe("\n- This.\n\n");
    expect(runStep(script("npm", "Check that it is what was packed"), `${folder}/release`, {})).toEqual({ status: 0, stderr: "" });
    const listed = readFileSync(`${folder}/release/SHA256SUMS`, "utf8").trim().split("\n").map((line) => line.split("  ")[1]);
    expect(listed).toEqual(["linux-arm64.so", "linux-x64.so", "qshm-9.8.7.tgz", "qshm.h"]);
  });

  it("publish on JSR what holds the libraries, built where they are verified", () => {
    const steps = release.jobs.pack!.steps.flatMap(({ run }) => run ?? []);
    const made = steps.indexOf(`make -C c jsr JSR="$PWD/jsr"`);
    expect(made).toBeGreaterThan(steps.indexOf("make -C c verify"));
    expect(steps.indexOf("make -C c verify")).toBeGreaterThan(steps.indexOf("npm pack")); // which is what builds them
    expect(script("jsr", "Publish")).toMatch(/^cd jsr && .*deno publish/);
  });

  it("publish the packed archive with provenance, and write the token nowhere", () => {
    const folder = `${home}/npm`;
    mkdirSync(folder);
    writeFileSync(`${folder}/qshm-9.8.7.tgz`, "");
    writeFileSync(`${folder}/npm`, `#!/bin/sh\n[ "$1" = config ] && echo https://registry.invalid/ || echo "$@" > published\n`);
    chmodSync(`${folder}/npm`, 0o755);
    const env = { HOME: folder, PATH: `${folder}:${process.env.PATH}`, NPM_TOKEN: "a-secret" };
    expect(runStep(script("npm", "Publish"), folder, env)).toEqual({ status: 0, stderr: "" });
    expect(readFileSync(`${folder}/published`, "utf8")).toBe("publish --provenance --access public ./qshm-9.8.7.tgz\n");
    expect(readFileSync(`${folder}/.npmrc`, "utf8")).toBe("//registry.invalid/:_authToken=${NPM_TOKEN}\n");
  });

  it("name the repository they run in, because provenance is of a repository", () => {
    const folder = `${home}/repository`;
    mkdirSync(folder);
    writeFileSync(`${folder}/package.json`, `{ "name": "a", "version": "1.0.0" }`);
    const env = { HOME: folder, GITHUB_SERVER_URL: "https://git.invalid", GITHUB_REPOSITORY: "a/b" };
    expect(runStep(script("pack", "Name the repository"), folder, env)).toEqual({ status: 0, stderr: "" });
    expect(JSON.parse(readFileSync(`${folder}/package.json`, "utf8")).repository).toEqual({ type: "git", url: "git+https://git.invalid/a/b.git" });
  });
});
