/**
 * The library where a bundler put it: `bun build`, with `--compile` inside the executable, and esbuild with
 * `--loader:.so=file` replace these `require`s by the place of the file. Conditions are written so that Bun decides them when
 * it compiles, and takes one library along. Elsewhere there is no `require` in a module, or no file.
 *
 * @module
 */

declare const process: { readonly platform: string; readonly arch: string };
declare const require: ((path: string) => string) | undefined;

/** Where it is, as a URL; `undefined` if no bundler took it along. */
export function bundledLibrary(): URL | undefined {
  try {
    // Inside `try` bundlers pass over a library that is not there. With its `!` Deno does not see a `require`, whose file it
    // would fetch, over the network too.
    if (process.platform === "linux" && process.arch === "x64") return place(require!("./lib/linux-x64.so"));
    if (process.platform === "linux" && process.arch === "arm64") return place(require!("./lib/linux-arm64.so"));
  } catch {
    // not bundled
  }
  return undefined;
}

/** Bundlers give a path relative to the file that they write, or, inside an executable, an absolute one. */
function place(path: string): URL {
  return new URL(path, import.meta.url);
}
