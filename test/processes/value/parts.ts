/** What readers and writers do in the tests of values; loaded by peers of any runtime. */

import { arm, steps } from "../../support/faults.ts";
import type { Api, State } from "../../support/peer.ts";
import { checkContent, contentOf } from "../../torture/value_content.ts";
import type { Fault } from "../changes/parts.ts";

/** How an operation ended. */
export interface Performed {
  readonly steps: readonly string[];
  /** The counter of the value that was read or set. */
  readonly counter: number;
}

export function open({ SharedValue, bytes }: Api, state: State, { key, maxSize }: { key: string; maxSize: number }): void {
  state.value = SharedValue.open(key, { codec: bytes, maxSize });
}

export function set(_api: Api, { value }: State, { counter, size, ...fault }: Fault & { counter: number; size: number }): Performed {
  const content = contentOf(size, counter, 0);
  arm(fault.step, fault.action);
  value.set(content);
  return { steps: steps(), counter };
}

export function get(_api: Api, { value }: State, fault: Fault): Performed {
  arm(fault.step, fault.action);
  const bytes = value.get();
  const passed = steps();
  return { steps: passed, counter: checkContent(bytes)!.counter };
}

/** Reads until a get passes more than so many steps: it was disturbed so often. It is stopped there. */
export function getDisturbed(_api: Api, { value }: State, step: number): Performed {
  for (;;) {
    arm(step, "stop");
    const bytes = value.get();
    const passed = steps();
    if (passed.length >= step) return { steps: passed, counter: checkContent(bytes)!.counter };
  }
}

/** Sets one large value on and on, until it is told to stop. */
export function flood(_api: Api, state: State, size: number): void {
  const content = contentOf(size, 1, 0);
  const burst = (): void => {
    for (let i = 0; i < 20; i++) state.value.set(content);
    if (!state.over) setImmediate(burst);
  };
  setImmediate(burst);
}
