/**
 * The guard of a name that nobody else wants: held and released. The rivals do what a program would do with them to be
 * the only one: a lock file, a lock on a file, a socket that one process can listen on.
 */

import { openSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { once } from "node:events";
import process from "node:process";
import { SingleInstance } from "../../../mod.ts";
import { interleave } from "../pairing.ts";
import type { CaseFactory, Group } from "../row.ts";

/** `Deno.FsFile`, as far as it is used here. */
interface DenoFiles {
  open(path: string, options: { read: boolean; write: boolean; create: boolean }): Promise<{
    lock(exclusive: boolean): Promise<void>;
    close(): void;
  }>;
}

interface ProperLockfile {
  lock(path: string): Promise<() => Promise<void>>;
}

const directory = () => process.env.QSHM_DIRECTORY!;

/** See {@linkcode CaseFactory}. */
export const cases: Readonly<Record<string, CaseFactory>> = {
  "js.acquire": () => async (count) => {
    for (let i = 0; i < count; i++) (await SingleInstance.acquire("bench")).release();
  },
  "js.refused": () => {
    SingleInstance.tryAcquire("bench-held");
    return (count) => {
      for (let i = 0; i < count; i++) SingleInstance.tryAcquire("bench-held");
    };
  },
  "js.Deno.FsFile.lock": () => {
    const { Deno } = globalThis as unknown as { Deno: DenoFiles };
    return async (count) => {
      for (let i = 0; i < count; i++) {
        const file = await Deno.open(`${directory()}/deno-lock`, { read: true, write: true, create: true });
        await file.lock(true);
        file.close();
      }
    };
  },
  "js.node:net": () => async (count) => {
    for (let i = 0; i < count; i++) {
      const server = createServer().listen(`${directory()}/socket`);
      await once(server, "listening");
      server.close();
      await once(server, "close");
      rmSync(`${directory()}/socket`, { force: true });
    }
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

/** See {@linkcode Group}. */
export const guardGroup: Group = {
  name: "guard",
  rows: [
    { name: "acquire+release", ours: "js.acquire" },
    { name: "tryAcquire, held by another", ours: "js.refused" },
    { name: "acquire+release / proper-lockfile", ours: "js.acquire", rival: "js.proper-lockfile" },
    { name: "acquire+release / Deno.FsFile open, lock, close", ours: "js.acquire", rival: "js.Deno.FsFile.lock", runtimes: ["deno"] },
    { name: "acquire+release / listening on a Unix socket", ours: "js.acquire", rival: "js.node:net" },
  ],
  measure: (plan) => interleave("guard", plan),
};
