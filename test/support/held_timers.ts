/**
 * Timers that do not run by themselves, for use in a peer: a wait that its bell has to wake then stays asleep for ever if
 * it does not, instead of looking by itself half a second later. So a lost wake-up shows, and on no clock.
 */

const { setTimeout: start, clearTimeout: stop } = globalThis;
/** Shorter ones run as ever: nothing here is about them. */
const SHORTEST_HELD = 1;
const LONG = 2 ** 31 - 1;

const held = new Map<unknown, () => void>();

/** Holds all timers that are started from now on. They keep the process alive as they would. */
export function holdTimers(): void {
  globalThis.setTimeout = ((f: () => void, ms = 0) => {
    if (ms < SHORTEST_HELD) return start(f, ms);
    const timer = start(f, LONG);
    held.set(timer, f);
    return timer;
  }) as typeof setTimeout;
  globalThis.clearTimeout = (timer?: unknown) => {
    held.delete(timer);
    stop(timer as number);
  };
}

/** Runs those that are held now, as if their time had come. */
export function runHeldTimers(): void {
  for (const [timer, f] of [...held]) {
    clearTimeout(timer as number);
    f();
  }
}

/** Ends the holding; runs those that are held. */
export function letTimersGo(): void {
  runHeldTimers();
  Object.assign(globalThis, { setTimeout: start, clearTimeout: stop });
}
