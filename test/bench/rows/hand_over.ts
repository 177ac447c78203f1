/** A value to another process, which has a copy of it when it answers. On all processors, without a break. */

import { bytes, SharedMemory, SharedValue } from "../../../mod.ts";
import { overSocket } from "../net.ts";
import { casesOf, type Mechanism, takeTurns } from "../pairs.ts";
import type { Group, Target } from "../row.ts";

const SIZES = { "64 B": 64, "4 KiB": 4096, "1 MiB": 1 << 20 } as const;

function open(size: number): { value: SharedValue<Uint8Array>; answer: SharedMemory } {
  return {
    value: SharedValue.open(`value-${size}`, { codec: bytes, maxSize: size }),
    answer: SharedMemory.open(`answer-${size}`, 1),
  };
}

function byValue(size: number): Mechanism {
  return {
    ping() {
      const { value, answer } = open(size);
      const message = new Uint8Array(size).fill(7);
      let revision = answer.revision;
      return async () => {
        value.set(message);
        revision = await answer.waitForChange(revision);
      };
    },
    pong() {
      const { value, answer } = open(size);
      const changes = value.changes();
      return async () => {
        const { value: message } = await changes.next();
        if (message?.length !== size) throw new Error("not the value that was set");
        answer.notify();
      };
    },
  };
}

/** See {@linkcode CaseFactory}. */
export const cases = casesOf(Object.assign(
  {},
  ...Object.values(SIZES).map((size) => ({ [`value-${size}`]: byValue(size), [`net-${size}`]: overSocket(`net-${size}`, size) })),
));

const TARGETS: Readonly<Record<string, Target>> = { "1 MiB": { fasterBy: 3 } };

/** See {@linkcode Group}. */
export const handOverGroup: Group = {
  name: "hand over a value, and an answer",
  rows: Object.entries(SIZES).map(([name, size]) => ({
    name: `${name} / node:net, Unix socket`,
    ours: `js.value-${size}.hot`,
    rival: `js.net-${size}.hot`,
    target: TARGETS[name],
  })),
  measure: (plan) => takeTurns("hand_over", plan),
};
