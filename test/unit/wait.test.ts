/** The options of waits, and the timers under them. */

import { describe, expect, it } from "vitest";
import { runtime } from "../../ffi/load.ts";
import { checkSyncWait, checkWait, poll, type Wait, type WaitOptions } from "../../src/wait.ts";

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
    runtime().startTimer(() => calls++, 1, true).cancel();
    await new Promise<void>((resolve) => runtime().startTimer(resolve, 5, true));
    expect(calls).toBe(0);
  });
});

describe("poll()", () => {
  const wait = (options: WaitOptions): Wait => checkWait(options);

  it("looks before it returns, and gives what is found, whatever it is but undefined", async () => {
    for (const found of [0, false, null, "", NaN, "x"]) {
      const looks: boolean[] = [];
      const promise = poll(wait({}), (last) => (looks.push(last), found));
      expect(looks).toEqual([false]);
      expect(await promise).toBe(found);
      expect(looks).toEqual([false]);
    }
  });

  it("looks again until something is found", async () => {
    let looks = 0;
    expect(await poll(wait({}), () => ++looks === 5 ? "found" : undefined)).toBe("found");
    expect(looks).toBe(5);
  });

  it("says when it is the last look: at once without time, else when time is up, and only then", async () => {
    for (const timeout of [0, 1, 35]) {
      const looks: boolean[] = [];
      const start = performance.now();
      const result = await poll(wait({ timeout }), (last) => (looks.push(last), last ? "last" : undefined));
      expect(result).toBe("last");
      expect(performance.now() - start).toBeGreaterThanOrEqual(timeout);
      expect(looks.indexOf(true)).toBe(looks.length - 1);
      expect(looks[0]).toBe(timeout === 0);
    }
  });

  it("rejects with what a look throws, and looks no more", async () => {
    let looks = 0;
    const look = (): undefined => {
      if (++looks === 3) throw new SyntaxError("mine");
    };
    await expect(poll(wait({}), look)).rejects.toThrow(new SyntaxError("mine"));
    await new Promise<void>((resolve) => runtime().startTimer(resolve, 40, true));
    expect(looks).toBe(3);
  });

  it("rejects with the reason of the signal, and looks no more", async () => {
    const controller = new AbortController();
    let looks = 0;
    const promise = poll(wait({ signal: controller.signal }), () => void looks++);
    controller.abort("mine");
    await expect(promise).rejects.toBe("mine");
    await new Promise<void>((resolve) => runtime().startTimer(resolve, 40, true));
    expect(looks).toBe(1);
  });

  it("keeps what was found before an abort in the same turn", async () => {
    const controller = new AbortController();
    const promise = poll(wait({ signal: controller.signal }), () => "found");
    controller.abort("too late");
    expect(await promise).toBe("found");
  });
});
