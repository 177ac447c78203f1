/**
 * A permit to another process and one back: what one releases, the other consumes. Beside it, what a program would do
 * without semaphores: bytes through a socket; and POSIX semaphores in C, whose permits stay taken when a process dies.
 */

import { SystemSemaphore } from "../../../mod.ts";
import { overSocket } from "../net.ts";
import { casesOf, type Mechanism, takeTurns } from "../pairs.ts";
import type { Group, Row } from "../row.ts";

function open(name: string): { there: SystemSemaphore; back: SystemSemaphore } {
  return {
    there: SystemSemaphore.open(`${name}-there`, { initial: 0 }),
    back: SystemSemaphore.open(`${name}-back`, { initial: 0 }),
  };
}

const acquire: Mechanism = {
  ping() {
    const { there, back } = open("async");
    return async () => {
      there.release();
      (await back.acquire()).forget();
    };
  },
  pong() {
    const { there, back } = open("async");
    return async () => {
      (await there.acquire()).forget();
      back.release();
    };
  },
};

const acquireSync: Mechanism = {
  ping() {
    const { there, back } = open("sync");
    return () => {
      there.release();
      back.acquireSync().forget();
    };
  },
  pong() {
    const { there, back } = open("sync");
    return () => {
      there.acquireSync().forget();
      back.release();
    };
  },
};

/** See {@linkcode CaseFactory}. */
export const cases = casesOf({ acquire, acquireSync, net: overSocket("net", 1) });

function rowsOf(pace: "hot" | "sleeping"): readonly Row[] {
  return [
    { name: `acquire, ${pace} / node:net, Unix socket`, ours: `js.acquire.${pace}`, rival: `js.net.${pace}` },
    { name: `acquireSync, ${pace} / node:net, Unix socket`, ours: `js.acquireSync.${pace}`, rival: `js.net.${pace}` },
    { name: `acquireSync, ${pace} / sem_wait and sem_post in C`, ours: `js.acquireSync.${pace}`, rival: `c.semaphore.${pace}` },
  ];
}

const rows = [...rowsOf("hot"), ...rowsOf("sleeping")];

/** See {@linkcode Group}. */
export const semaphoreOnOneGroup: Group = {
  name: "permit there and back, one processor",
  rows,
  measure: (plan) => takeTurns("semaphore", plan, { isPinned: true }),
};

/** See {@linkcode Group}. */
export const semaphoreOnTwoGroup: Group = {
  name: "permit there and back, two processors",
  rows,
  measure: (plan) => takeTurns("semaphore", plan),
};
