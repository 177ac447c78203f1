/** The options of waits, and their timers. */

import { describe, expect, it } from "vitest";
import { checkSyncWait, checkWait, startTimer } from "../../src/wait.ts";

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
    startTimer(1, true, () => {
      calls++;
      resolve();
    });
    await promise;
    await new Promise(setImmediate);
    expect(calls).toBe(1);
  });

  it("does not call after cancel()", async () => {
    let calls = 0;
    startTimer(1, true, () => calls++).cancel();
    await new Promise<void>((resolve) => startTimer(5, true, resolve));
    expect(calls).toBe(0);
  });
});
