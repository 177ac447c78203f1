/**
 * Creating a small segment and detaching from it, which removes it. Against the same calls of the library from C (what
 * the runtime costs), and a bare mapping (what it costs that a crash leaves nothing behind).
 */

import { mkdirSync } from "node:fs";
import process from "node:process";
import { SharedMemory } from "../../../mod.ts";
import { interleave } from "../pairing.ts";
import type { CaseFactory, Group } from "../row.ts";

const SIZE = 4096;

/** See {@linkcode CaseFactory}. */
export const cases: Readonly<Record<string, CaseFactory>> = {
  "js.create": () => (count) => {
    for (let i = 0; i < count; i++) SharedMemory.create("create-js", SIZE).detach();
  },
  "js.create.data": () => (count) => {
    for (let i = 0; i < count; i++) {
      const memory = SharedMemory.create("create-js", SIZE);
      memory.data[0] = 1;
      memory.detach();
    }
  },
  "js.create.neighbours": () => {
    const directory = `${process.env.QSHM_DIRECTORY}/neighbours-${process.pid}`;
    mkdirSync(directory, { mode: 0o700 });
    for (let i = 0; i < 16; i++) SharedMemory.create(`neighbour-${i}`, SIZE, { directory });
    return (count) => {
      for (let i = 0; i < count; i++) SharedMemory.create("create-js", SIZE, { directory }).detach();
    };
  },
};

/** See {@linkcode Group}. */
export const createGroup: Group = {
  name: "create+detach 4 KiB",
  rows: [
    { name: "library from C", ours: "js.create", rival: "c.library.create" },
    {
      name: "shm_open ftruncate mmap munmap unlink in C",
      ours: "js.create",
      rival: "c.plain.create",
      target: { ratioAtMost: 1.6 },
    },
    { name: "the same, reserved and written to", ours: "js.create", rival: "c.plain.create.touched" },
    { name: "with use of data / without", ours: "js.create.data", rival: "js.create" },
    { name: "beside 16 segments in use / alone", ours: "js.create.neighbours", rival: "js.create" },
  ],
  measure: (plan) => interleave("create", plan),
};
