/**
 * A lock that nobody else wants: taken and freed through the public API, so every time a `Lock` object is made, and
 * dropped. Rivals in the runtime make what their API makes: nothing (`Deno.FsFile`), or promises and a directory.
 */

import { openSync } from "node:fs";
import process from "node:process";
import { SharedMemory } from "../../../mod.ts";
import { interleave } from "../pairing.ts";
import type { CaseFactory, Group } from "../row.ts";

/** `Deno.FsFile`, as far as it is used here. */
interface DenoFile {
  lockSync(exclusive: boolean): void;
  unlockSync(): void;
  lock(exclusive: boolean): Promise<void>;
  unlock(): Promise<void>;
}

interface DenoFiles {
  openSync(path: string, options: { read: boolean; write: boolean; create: boolean }): DenoFile;
}

interface ProperLockfile {
  lock(path: string): Promise<() => Promise<void>>;
}

const directory = () => process.env.QSHM_DIRECTORY!;

function openDenoFile(): DenoFile {
  const { Deno } = globalThis as unknown as { Deno: DenoFiles };
  return Deno.openSync(`${directory()}/deno-lock`, { read: true, write: true, create: true });
}

/** See {@linkcode CaseFactory}. */
export const cases: Readonly<Record<string, CaseFactory>> = {
  "js.tryLock": () => {
    const memory = SharedMemory.open("lock", 64);
    return (count) => {
      for (let i = 0; i < count; i++) memory.tryLock()!.unlock();
    };
  },
  "js.lockSync": () => {
    const memory = SharedMemory.open("lock", 64);
    return (count) => {
      for (let i = 0; i < count; i++) memory.lockSync().unlock();
    };
  },
  "js.lock": () => {
    const memory = SharedMemory.open("lock", 64);
    return async (count) => {
      for (let i = 0; i < count; i++) (await memory.lock()).unlock();
    };
  },
  "js.Deno.FsFile.lockSync": () => {
    const file = openDenoFile();
    return (count) => {
      for (let i = 0; i < count; i++) {
        file.lockSync(true);
        file.unlockSync();
      }
    };
  },
  "js.Deno.FsFile.lock": () => {
    const file = openDenoFile();
    return async (count) => {
      for (let i = 0; i < count; i++) {
        await file.lock(true);
        await file.unlock();
      }
    };
  },
  "js.proper-lockfile": async () => {
    const name = "proper-lockfile";
    const { lock } = (await import(name)).default as ProperLockfile;
    const path = `${directory()}/proper`;
    openSync(path, "a");
    return async (count) => {
      for (let i = 0; i < count; i++) await (await lock(path))();
    };
  },
};

const NS = { deno: 60, bun: 30, node: 200 };
const FASTER_THAN_SYSV = { deno: 15, bun: 30, node: 5 };

/** See {@linkcode Group}. */
export const lockGroup: Group = {
  name: "lock+unlock",
  rows: [
    { name: "tryLock", ours: "js.tryLock", target: { atMost: NS } },
    { name: "lockSync", ours: "js.lockSync", target: { atMost: NS } },
    { name: "await lock", ours: "js.lock", target: { atMost: NS } },
    { name: "tryLock / library from C", ours: "js.tryLock", rival: "c.library.lock" },
    { name: "tryLock / SysV semop SEM_UNDO in C", ours: "js.tryLock", rival: "c.semop", target: { fasterBy: FASTER_THAN_SYSV } },
    { name: "lockSync / SysV semop SEM_UNDO in C", ours: "js.lockSync", rival: "c.semop", target: { fasterBy: FASTER_THAN_SYSV } },
    { name: "await lock / SysV semop SEM_UNDO in C", ours: "js.lock", rival: "c.semop" },
    { name: "tryLock / flock in C", ours: "js.tryLock", rival: "c.flock" },
    { name: "lockSync / flock in C", ours: "js.lockSync", rival: "c.flock" },
    { name: "lockSync / Deno.FsFile.lockSync", ours: "js.lockSync", rival: "js.Deno.FsFile.lockSync", runtimes: ["deno"] },
    {
      name: "tryLock / Deno.FsFile.lock",
      ours: "js.tryLock",
      rival: "js.Deno.FsFile.lock",
      target: { fasterBy: 1000 },
      runtimes: ["deno"],
    },
    { name: "await lock / Deno.FsFile.lock", ours: "js.lock", rival: "js.Deno.FsFile.lock", runtimes: ["deno"] },
    { name: "tryLock / proper-lockfile", ours: "js.tryLock", rival: "js.proper-lockfile", target: { fasterBy: 5000 } },
    { name: "await lock / proper-lockfile", ours: "js.lock", rival: "js.proper-lockfile" },
  ],
  measure: (plan) => interleave("lock", plan),
};
