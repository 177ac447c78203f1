/**
 * `npm run dist`: makes `dist/`, all that the npm package holds beside README and LICENSE. Run by Bun, for its bundler.
 *
 * `qshm` and `qshm/qt` share one file: a program that imports both must not get two registries of what is attached. Bun gets
 * the same files as Deno and Node, though it could run the sources: with those a program starts 5 ms later. Nothing is
 * minified: it would start no faster, and of an uncaught error runtimes print the line.
 */

import { chmodSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

interface Output {
  readonly path: string;
  text(): Promise<string>;
}

declare const Bun: {
  build(options: {
    readonly entrypoints: readonly string[];
    readonly files?: Readonly<Record<string, string>>;
    readonly target: "node";
    readonly splitting: boolean;
    readonly define: Readonly<Record<string, string>>;
    readonly naming: { readonly entry: string; readonly chunk: string };
  }): Promise<{ readonly outputs: readonly Output[] }>;
};

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const DIST = `${ROOT}dist`;
process.chdir(ROOT); // the bundler's comments name files relative to this

/** Bundles modules into files of `dist/` with the names given; what several of them need goes into `shared.js`. */
async function bundle(modules: Readonly<Record<string, string>>): Promise<void> {
  const files: Record<string, string> = {}; // for those that are not to be named as their module
  const entrypoints = Object.entries(modules).map(([name, module]) => {
    if (basename(module, ".ts") === name) return ROOT + module;
    files[`${ROOT}${name}.ts`] = `export * from "./${module}";`;
    return `${ROOT}${name}.ts`;
  });
  const { outputs } = await Bun.build({
    entrypoints,
    files,
    target: "node",
    splitting: entrypoints.length > 1,
    define: { require: "require" }, // not Bun's own, for which it would import node:module
    naming: { entry: "[name].js", chunk: "shared.js" },
  });
  const texts = new Map<string, string>();
  for (const output of outputs) {
    const name = relative(".", output.path);
    if (texts.has(name)) throw new Error(`Two files want to be ${name}`);
    texts.set(name, await output.text());
  }
  for (const [name, text] of withNames(texts)) writeFileSync(`${DIST}/${name}`, text);
}

/**
 * Bun calls a class that two files share `Name2`, in its `name` too, which shows in every stack trace. Gives it back its
 * name, if that is free.
 */
function withNames(texts: ReadonlyMap<string, string>): Map<string, string> {
  const named = new Map(texts);
  const renamed = [...texts.values()].flatMap((text) => [...text.matchAll(/^class (\w+)2\b/gm)].map(([, name]) => name!));
  for (const name of renamed) {
    for (const [file, text] of named) {
      if (new RegExp(`^(class|function|var|let|const) ${name}\\b`, "m").test(text)) throw new Error(`${file} has two ${name}`);
      named.set(file, text.replaceAll(new RegExp(`\\b${name}2\\b`, "g"), name));
    }
  }
  return named;
}

/** The declarations that the entries lead to, and no other; with specifiers that every version of TypeScript resolves. */
function declarations(from: string, entries: readonly string[]): void {
  const seen = new Set<string>();
  const visit = (path: string): void => {
    if (seen.has(path)) return;
    seen.add(path);
    const text = readFileSync(`${from}/${path}.d.ts`, "utf8").replaceAll(/(["'])(\.{1,2}\/[^"']+)\.ts\1/g, (_, quote, specifier) => {
      visit(join(dirname(path), specifier));
      return `${quote}${specifier}.js${quote}`;
    });
    mkdirSync(dirname(`${DIST}/types/${path}`), { recursive: true });
    writeFileSync(`${DIST}/types/${path}.d.ts`, text);
  };
  entries.forEach(visit);
}

/** The libraries that `make -C c dist` lists, and its list. */
function libraries(from: string): void {
  const list = readFileSync(`${from}/SHA256SUMS`, "utf8");
  mkdirSync(`${DIST}/lib`);
  writeFileSync(`${DIST}/lib/SHA256SUMS`, list);
  for (const line of list.trim().split("\n")) {
    const name = line.split(/\s+/)[1]!;
    cpSync(`${from}/${name}`, `${DIST}/lib/${name}`);
    chmodSync(`${DIST}/lib/${name}`, 0o755);
  }
}

const types = `${ROOT}dist/.types`;
for (const name of readdirSync(DIST)) if (name !== ".types") rmSync(`${DIST}/${name}`, { recursive: true });
await bundle({ mod: "mod.ts", qt: "src/qt/mod.ts" });
await bundle({ main: "src/cli/main.ts" });
declarations(types, ["mod", "src/qt/mod"]);
libraries(`${ROOT}ffi/lib`);
cpSync(`${ROOT}src/cli/launch.sh`, `${DIST}/launch.sh`);
rmSync(types, { recursive: true });
