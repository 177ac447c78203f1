/** Telling that something has changed while nobody waits for it: no system call. Against the library's call from C. */

import { SharedMemory } from "../../../mod.ts";
import { interleave } from "../pairing.ts";
import type { CaseFactory, Group } from "../row.ts";

/** See {@linkcode CaseFactory}. */
export const cases: Readonly<Record<string, CaseFactory>> = {
  "js.notify": () => {
    const memory = SharedMemory.open("notify-js", 64);
    return (count) => {
      for (let i = 0; i < count; i++) memory.notify();
    };
  },
};

/** See {@linkcode Group}. */
export const publishGroup: Group = {
  name: "publish, nobody waits",
  rows: [
    { name: "notify", ours: "js.notify", target: { atMost: { deno: 25, bun: 25, node: 100 } } },
    { name: "notify / library from C", ours: "js.notify", rival: "c.library.notify" },
  ],
  measure: (plan) => interleave("publish", plan),
};
