/**
 * Why a test may be skipped: the closing line counts skips, and each has its reason here and in the test's name.
 * QSHM_REQUIRE names parts whose absence is a failure instead: `deno`, `bun`, `node`, `root`, `cc`, `musl`, `spin`, `qt5`,
 * `qt6`, `ext4`, `overlay`, `fuse`, `arm64`, `x64`, `arm64-runtimes`, `musl-runtime`.
 */

import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";

const required = (process.env.QSHM_REQUIRE ?? "").split(",");

function unless(present: boolean, part: string, reason: string): string | undefined {
  if (present) return undefined;
  if (required.includes(part)) throw new Error(`Required, but not there: ${part} (${reason})`);
  return reason;
}

function isRoot(): boolean {
  return process.getuid?.() === 0;
}

function runs(command: string, ...args: string[]): boolean {
  return spawnSync(command, args).status === 0;
}

function knowsPackage(name: string): boolean {
  return spawnSync("pkg-config", ["--exists", name]).status === 0;
}

/** The reason, or `undefined` where the part is there and the test runs. */
export const SKIPS = {
  /** Other users, foreign owners, and mounts of their own. */
  root: unless(isRoot(), "root", "only root can act as several users and mount file systems"),
  /** The C program that takes part as a fourth process. */
  cc: unless(runs("cc", "--version"), "cc", "no C compiler, so no C program takes part"),
  /** The libraries of all architectures, as a release has them. */
  crossCompiler: process.arch === "arm64"
    ? unless(runs("x86_64-linux-gnu-gcc", "--version"), "x64", "no compiler for x64 (gcc-x86-64-linux-gnu)")
    : unless(runs("aarch64-linux-gnu-gcc", "--version"), "arm64", "no compiler for arm64 (gcc-aarch64-linux-gnu)"),
  /** File systems that are mounted for a test. */
  ext4: unless(
    isRoot() && existsSync("/dev/loop-control") && runs("mkfs.ext4", "-V"),
    "ext4",
    "no root, loop devices or mkfs.ext4 (e2fsprogs)",
  ),
  overlay: unless(
    isRoot() && readFileSync("/proc/filesystems", "utf8").includes("\toverlay\n"),
    "overlay",
    "no root, or no overlay file system",
  ),
  fuse: unless(isRoot() && existsSync("/dev/fuse") && runs("bindfs", "--version"), "fuse", "no root, /dev/fuse or bindfs"),
  /** What is built for arm64 and run by qemu-user. */
  arm64: unless(
    runs("aarch64-linux-gnu-gcc", "--version") && runs("qemu-aarch64", "--version"),
    "arm64",
    "no cross compiler for arm64, or no qemu-user (gcc-aarch64-linux-gnu, qemu-user)",
  ),
  /** C++ programs of a Qt of this version. */
  qt5: unless(knowsPackage("Qt5Core"), "qt5", "Qt 5 is not installed (qtbase5-dev)"),
  qt6: unless(knowsPackage("Qt6Core"), "qt6", "Qt 6 is not installed (qt6-base-dev)"),
} as const;

/** The reason why runtimes of another platform are not run, unless they were fetched, or their part is required: then they are. */
export function unlessFetched(isFetched: boolean, part: string): string | undefined {
  return isFetched || required.includes(part) ? undefined : `not fetched: they are large (QSHM_REQUIRE=${part})`;
}

/** Passes a reason on that a C case or make gives, unless the part that it speaks of is required. */
export function allowSkip(reason: string): string {
  for (const part of ["root", "musl", "spin"]) unless(!reason.includes(part), part, reason);
  return reason;
}

/** The test's name with the reason it is skipped for. */
export function because(name: string, reason: string | undefined): string {
  return reason === undefined ? name : `${name} [skipped: ${reason}]`;
}
