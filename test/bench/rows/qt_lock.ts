/** The lock of a segment that Qt programs use as well: the same system calls as Qt's own in C++. */

import process from "node:process";
import { QSharedMemory } from "../../../src/qt/mod.ts";
import { SKIPS } from "../../support/skips.ts";
import { interleave } from "../pairing.ts";
import type { CaseFactory, Group } from "../row.ts";

/** See {@linkcode CaseFactory}. */
export const cases: Readonly<Record<string, CaseFactory>> = {
  "js.qt.lock": () => {
    const memory = new QSharedMemory(`bench ${process.pid} lock`);
    if (!memory.create(64)) throw new Error(memory.errorString());
    return (count) => {
      for (let i = 0; i < count; i++) {
        memory.lock();
        memory.unlock();
      }
    };
  },
  "js.qt.lockAsync": () => {
    const memory = new QSharedMemory(`bench ${process.pid} lockAsync`);
    if (!memory.create(64)) throw new Error(memory.errorString());
    return async (count) => {
      for (let i = 0; i < count; i++) {
        await memory.lockAsync();
        memory.unlock();
      }
    };
  },
};

/** See {@linkcode Group}. Without Qt there is nothing to compare with. */
export const qtLockGroup: Group = {
  name: "qshm/qt lock+unlock",
  rows: SKIPS.qt6 !== undefined ? [] : [
    { name: "lock / Qt's in C++", ours: "js.qt.lock", rival: "qt.lock", target: { ratioAtMost: { deno: 1.3, bun: 1.3, node: 2 } } },
    { name: "lockAsync / Qt's in C++", ours: "js.qt.lockAsync", rival: "qt.lock" },
  ],
  measure: (plan) => interleave("qt_lock", plan),
};
