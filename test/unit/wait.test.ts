/** The options of waits, and the timers under them. */

import { describe, expect, it } from "vitest";
import { runtime } from "../../ffi/load.ts";
import { checkSyncWait, checkWait } from "../../src/wait.ts";

describe("checkWait()", () => {
  it("fills in the defaults", () => {
    const expected = { timeout: Infinity, signal: undefined, ref: true };
    for (const options of [undefined, {}, { timeout: undefined, signal: undefined, ref: undefined }]) {
      expect(checkWait(options as never)).toEqual(expected);
    }
  });

  it("gives what it was given", () => {
    const { signal } = new AbortController();
    expect(checkWait({ timeout: 5, signal, ref: false })).toEqual({ timeout: 5, signal, ref: false });
  });

  it("refuses a signal that is none", () => {
    for (const signal of [{}, null, { aborted: false, addEventListener() {} }, new EventTarget()]) {
      expect(() => checkWait({ signal: signal as never })).toThrow("Signal must be an AbortSignal");
    }
  });
});

describe("checkSyncWait()", () => {
  it("gives the timeout, and knows no signal", () => {
    expect([checkSyncWait(undefined), checkSyncWait({ timeout: 3 })]).toEqual([Infinity, 3]);
    expect(() => checkSyncWait({ signal: new AbortController().signal } as never)).toThrow('Unknown option "signal"');
  });
});

describe("startTimer()", () => {
  it("calls once", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    let calls = 0;
    runtime().startTimer(() => {
      calls++;
      resolve();
    }, 1, true);
    await promise;
    await new Promise(setImmediate);
    expect(calls).toBe(1);
  });

  it("does not call after cancel()", async () => {
    let calls = 0;
    runtime().startTimer(() => calls++, 1, true)();
    await new Promise<void>((resolve) => runtime().startTimer(resolve, 5, true));
    expect(calls).toBe(0);
  });
});
