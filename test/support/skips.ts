/**
 * Why a test may be skipped: the closing line counts skips, and each has its reason here and in the test's name.
 * QSHM_REQUIRE names parts (`deno`, `bun`, `node`, `root`, `cc`, `musl`, `spin`, `arm64`, `qt5`, `qt6`) whose absence is a
 * failure instead.
 */

import { spawnSync } from "node:child_process";

const required = (process.env.QSHM_REQUIRE ?? "").split(",");

function unless(present: boolean, part: string, reason: string): string | undefined {
  if (present) return undefined;
  if (required.includes(part)) throw new Error(`Required, but not there: ${part} (${reason})`);
  return reason;
}

function runs(compiler: string): boolean {
  return spawnSync(compiler, ["--version"]).status === 0;
}

function knowsPackage(name: string): boolean {
  return spawnSync("pkg-config", ["--exists", name]).status === 0;
}

/** The reason, or `undefined` where the part is there and the test runs. */
export const SKIPS = {
  /** Other users, foreign owners, and mounts of their own. */
  root: unless(process.getuid?.() === 0, "root", "only root can act as several users and mount file systems"),
  /** The C program that takes part as a fourth process. */
  cc: unless(runs("cc"), "cc", "no C compiler, so no C program takes part"),
  /** The libraries of all architectures, as a release has them. */
  crossCompiler: process.arch === "arm64"
    ? unless(runs("x86_64-linux-gnu-gcc"), "x64", "no compiler for x64 (gcc-x86-64-linux-gnu)")
    : unless(runs("aarch64-linux-gnu-gcc"), "arm64", "no compiler for arm64 (gcc-aarch64-linux-gnu)"),
  /** C++ programs of a Qt of this version. */
  qt5: unless(knowsPackage("Qt5Core"), "qt5", "Qt 5 is not installed (qtbase5-dev)"),
  qt6: unless(knowsPackage("Qt6Core"), "qt6", "Qt 6 is not installed (qt6-base-dev)"),
} as const;

/** Passes a reason on that a C case or make gives, unless the part that it speaks of is required. */
export function allowSkip(reason: string): string {
  for (const part of ["root", "musl", "spin"]) unless(!reason.includes(part), part, reason);
  return reason;
}

/** The test's name with the reason it is skipped for. */
export function because(name: string, reason: string | undefined): string {
  return reason === undefined ? name : `${name} [skipped: ${reason}]`;
}
