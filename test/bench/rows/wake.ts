/**
 * From the moment at which a process in C has something to tell until a sleeping task of the runtime has it. Both read the
 * same clock, by the same function of the C library.
 */

import { native, runtime } from "../../../ffi/load.ts";
import { SharedMemory } from "../../../mod.ts";
import { connect, receive } from "../net.ts";
import { takeTurns } from "../pairs.ts";
import type { CaseFactory, Group, Row } from "../row.ts";

const MONOTONIC = 1;
const SYMBOLS = { clock_gettime: { parameters: ["i32", "out"], result: "i32" } } as const;

/** Gives nanoseconds, as `rivals_now` in C. */
function monotonicClock(): () => number {
  native("base"); // the adapter is ready when the library is loaded
  const { clock_gettime } = runtime().open("libc.so.6", SYMBOLS);
  const bytes = new Uint8Array(16);
  const words = new BigInt64Array(bytes.buffer);
  return () => {
    clock_gettime(MONOTONIC, bytes);
    return Number(words[0]) * 1e9 + Number(words[1]);
  };
}

/** See {@linkcode CaseFactory}. */
export const cases: Readonly<Record<string, CaseFactory>> = {
  "wake.change.sleeping": () => {
    const now = monotonicClock();
    const memory = SharedMemory.open("wake", 8);
    const stamp = new Float64Array(memory.data.buffer);
    let revision = memory.revision;
    return async (count) => {
      let elapsed = 0;
      for (let i = 0; i < count; i++) {
        revision = await memory.waitForChange(revision);
        elapsed += now() - stamp[0]!;
      }
      return elapsed;
    };
  },
  "wake.net.sleeping": async () => {
    const now = monotonicClock();
    const socket = await connect("wake");
    let told: () => void;
    let elapsed = 0;
    receive(socket, 8, (bytes) => {
      elapsed += now() - new DataView(bytes.buffer, bytes.byteOffset).getFloat64(0, true);
      told();
    });
    return async (count) => {
      elapsed = 0;
      for (let i = 0; i < count; i++) {
        const { promise, resolve } = Promise.withResolvers<void>();
        told = resolve;
        await promise;
      }
      return elapsed;
    };
  },
};

const rows: readonly Row[] = [
  { name: "waitForChange / node:net, Unix socket", ours: "js.change.sleeping", rival: "js.net.sleeping" },
  { name: "waitForChange / library, blocking, in C", ours: "js.change.sleeping", rival: "c.change.sleeping" },
];

const OPTIONS = { roles: { timed: "wake", other: "publish" }, isOtherInC: true };

/** See {@linkcode Group}. */
export const wakeOnOneGroup: Group = {
  name: "wake by C, one processor",
  rows,
  measure: (plan) => takeTurns("wake", plan, { ...OPTIONS, isPinned: true }),
};

/** See {@linkcode Group}. */
export const wakeOnTwoGroup: Group = {
  name: "wake by C, two processors",
  rows,
  measure: (plan) => takeTurns("wake", plan, OPTIONS),
};
