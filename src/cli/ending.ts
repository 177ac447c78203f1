/**
 * The signals that ask a command to end that would otherwise go on.
 *
 * @module
 */

import { environment } from "../command.ts";

/** Their numbers. */
const SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;

/** A signal that asks to end. */
export type EndingSignal = keyof typeof SIGNALS;

/** The exit status that tells of it. */
export function statusOf(signal: EndingSignal): number {
  return 128 + SIGNALS[signal];
}

/**
 * Calls `end` whenever one comes. Those that were ignored at the start, as `nohup` wants it, are ignored from now on: the
 * runtimes forget it.
 */
export async function onEnding(end: (signal: EndingSignal) => void): Promise<void> {
  const { default: process } = await import("node:process");
  const ignored = BigInt(`0x${/^[0-9a-f]{1,16}$/.exec(environment("QSHM_SIGNALS_IGNORED") ?? "") ?? 0}`);
  for (const [signal, number] of Object.entries(SIGNALS) as [EndingSignal, number][]) {
    const isIgnored = (ignored >> BigInt(number - 1) & 1n) !== 0n;
    process.on(signal, isIgnored ? () => {} : () => end(signal));
  }
}
