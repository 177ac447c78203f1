/**
 * Attaching to a small segment and detaching from it, beside a creator that stays. Against the same calls of the
 * library from C (what the runtime costs), and a bare mapping (what it costs to be counted).
 */

import { SharedMemory } from "../../../mod.ts";
import { interleave } from "../pairing.ts";
import type { CaseFactory, Group } from "../row.ts";

/** See {@linkcode CaseFactory}. */
export const cases: Readonly<Record<string, CaseFactory>> = {
  "js.attach": () => {
    SharedMemory.create("attach-js", 4096);
    return (count) => {
      for (let i = 0; i < count; i++) SharedMemory.attach("attach-js").detach();
    };
  },
};

/** See {@linkcode Group}. */
export const attachGroup: Group = {
  name: "attach+detach 4 KiB",
  rows: [
    { name: "library from C", ours: "js.attach", rival: "c.library.attach" },
    { name: "shm_open fstat mmap munmap in C", ours: "js.attach", rival: "c.plain.attach", target: { ratioAtMost: 1.6 } },
  ],
  measure: (plan) => interleave("attach", plan),
};
