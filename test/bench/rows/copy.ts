/** Copies of 1 MiB in and out, against memcpy in C between the same kinds of memory: at least 0.9 of its speed. */

import { SharedMemory } from "../../../mod.ts";
import { interleave } from "../pairing.ts";
import type { CaseFactory, Group } from "../row.ts";

const SIZE = 1 << 20;

const buffer = () => new Uint8Array(SIZE).fill(7);

/** See {@linkcode CaseFactory}. */
export const cases: Readonly<Record<string, CaseFactory>> = {
  "js.data.set": () => {
    const { data } = SharedMemory.open("copy", SIZE);
    const source = buffer();
    return (count) => {
      for (let i = 0; i < count; i++) data.set(source);
    };
  },
  "js.write": () => {
    const memory = SharedMemory.open("copy", SIZE);
    const source = buffer();
    return (count) => {
      for (let i = 0; i < count; i++) memory.write(source);
    };
  },
  "js.readInto": () => {
    const memory = SharedMemory.open("copy", SIZE);
    const target = buffer();
    return (count) => {
      for (let i = 0; i < count; i++) memory.readInto(target);
    };
  },
  "js.read": () => {
    const memory = SharedMemory.open("copy", SIZE);
    return (count) => {
      for (let i = 0; i < count; i++) memory.read();
    };
  },
  "js.write.64": () => {
    const memory = SharedMemory.open("copy", SIZE);
    const source = new Uint8Array(64);
    return (count) => {
      for (let i = 0; i < count; i++) memory.write(source);
    };
  },
  "js.readInto.64": () => {
    const memory = SharedMemory.open("copy", SIZE);
    const target = new Uint8Array(64);
    return (count) => {
      for (let i = 0; i < count; i++) memory.readInto(target);
    };
  },
};

const target = { ratioAtMost: 1.11 };

/** See {@linkcode Group}. */
export const copyGroup: Group = {
  name: "copy",
  rows: [
    { name: "1 MiB data.set / memcpy in C", ours: "js.data.set", rival: "c.memcpy.in", target },
    { name: "1 MiB write / memcpy in C", ours: "js.write", rival: "c.memcpy.in", target },
    { name: "1 MiB readInto / memcpy in C", ours: "js.readInto", rival: "c.memcpy.out", target },
    { name: "1 MiB read, a new array each / memcpy in C", ours: "js.read", rival: "c.memcpy.out" },
    { name: "64 B write / library from C", ours: "js.write.64", rival: "c.library.write" },
    { name: "64 B readInto / library from C", ours: "js.readInto.64", rival: "c.library.read" },
  ],
  measure: (plan) => interleave("copy", plan),
};
