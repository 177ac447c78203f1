/** The System V objects of this machine as the kernel lists them, and whose they are. */

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

export interface Segment {
  readonly id: number;
  readonly key: number;
  readonly size: number;
  readonly mode: number;
  /** The process that made it. */
  readonly creator: number;
  readonly attachments: number;
}

export interface Semaphores {
  readonly id: number;
  readonly key: number;
  readonly mode: number;
  readonly count: number;
}

/** What `ipcs` tells of the one semaphore of a set. */
export interface Semaphore {
  readonly value: number;
  /** How many wait in the kernel for a larger value. */
  readonly waiters: number;
  /** The process that changed it last. */
  readonly changer: number;
}

function table(name: "shm" | "sem"): number[][] {
  const lines = readFileSync(`/proc/sysvipc/${name}`, "utf8").trim().split("\n").slice(1);
  return lines.map((line) => line.trim().split(/\s+/).map(Number));
}

const MODE = (octal: number | undefined): number => parseInt(String(octal), 8) & 0o777;

/** All segments. */
export function segments(): Segment[] {
  return table("shm").map(([key, id, mode, size, creator, , attachments]) => ({
    id: id!,
    key: key!,
    size: size!,
    mode: MODE(mode),
    creator: creator!,
    attachments: attachments!,
  }));
}

/** All sets of semaphores. */
export function semaphores(): Semaphores[] {
  return table("sem").map(([key, id, mode, count]) => ({ id: id!, key: key!, mode: MODE(mode), count: count! }));
}

/** The one semaphore of a set; `undefined` if the set is gone. */
export function semaphore(id: number): Semaphore | undefined {
  let text: string;
  try {
    text = execFileSync("ipcs", ["-s", "-i", String(id)], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  } catch {
    return undefined;
  }
  const row = text.trim().split("\n").at(-1)!.trim().split(/\s+/).map(Number);
  const [number, value, waiters, , changer] = row;
  return number === 0 && row.length === 5 ? { value: value!, waiters: waiters!, changer: changer! } : undefined;
}

/** The key of a file, as `ftok` with this project number makes it. */
export function ftok(file: { dev: number; ino: number }, project = 0x51): number {
  return (project << 24) | ((file.dev & 0xff) << 16) | (file.ino & 0xffff);
}

/** Removes what a test that failed left. */
export function removeObject(kind: "shm" | "sem", id: number): void {
  try {
    execFileSync("ipcrm", [kind === "shm" ? "-m" : "-s", String(id)], { stdio: "ignore" });
  } catch {
    // gone meanwhile
  }
}
