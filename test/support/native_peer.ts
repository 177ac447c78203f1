/** Builds `native_peer.c`, the program without a JavaScript runtime, against the library under test. */

import { execFileSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { LIBRARY } from "./runtimes.ts";
import { SKIPS } from "./skips.ts";

let built: string | undefined;

/** The path of the program, built at first use; `undefined` without a C compiler. */
export function nativePeer(): string | undefined {
  if (SKIPS.cc !== undefined) return undefined;
  if (built === undefined) {
    const program = `${mkdtempSync(`${tmpdir()}/qshm-native-peer-`)}/native_peer`;
    const source = new URL("./native_peer.c", import.meta.url).pathname;
    execFileSync("cc", ["-std=gnu11", "-O1", "-Wall", "-Werror", "-o", program, source, LIBRARY], { stdio: "inherit" });
    built = program;
  }
  return built;
}
