/**
 * How far qshm was tried on which platform. README's table says the same.
 *
 * @module
 */

import type { System } from "./system.ts";

type Libc = "glibc" | "musl" | "an unknown libc";

/** What a process is made of. */
export interface Platform {
  /** Operating system and processor. */
  readonly platform: string;
  readonly libc: Libc;
  readonly runtime: string;
}

const RUN = "run: the whole test suite";
const EMULATED = "built, and run under emulation";
const COMPILED = "only compiled: nobody has run it";

/** Which libc this process has, by the files that it has loaded. */
export function libcOf(system: System): Libc {
  const loaded = system.read("/proc/self/maps") ?? "";
  if (/\/(ld-musl-|libc\.musl-)|-musl\/libc\.so$/m.test(loaded)) return "musl";
  return /\/libc(-2\.\d+)?\.so(\.6)?$/m.test(loaded) ? "glibc" : "an unknown libc";
}

/** How far this combination was tried. */
export function tierOf({ platform, libc, runtime }: Platform): string {
  if (libc === "glibc") return platform === "linux-x64" ? RUN : EMULATED;
  const isMuslBun = platform === "linux-x64" && libc === "musl" && runtime === "bun";
  return isMuslBun ? "run: the behaviour that all runtimes share" : COMPILED;
}
