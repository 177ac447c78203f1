/**
 * The end of a program in Deno, however it comes about. No single event tells of all of them.
 *
 * @module
 */

interface DenoSignals {
  readonly pid: number;
  addSignalListener(signal: string, listener: () => void): void;
  removeSignalListener(signal: string, listener: () => void): void;
  kill(pid: number, signal: string): void;
}

interface NodeProcess {
  on(event: "exit", listener: () => void): void;
}

const hooks: (() => void)[] = [];

function onUnload(hook: () => void, first: boolean): void {
  if (hooks.length === 0) globalThis.addEventListener("unload", () => hooks.forEach((each) => each()));
  if (first) hooks.unshift(hook);
  else hooks.push(hook);
}

/** See `Adapter.onExit`. Not told of process.exit() and uncaught errors: there the library's destructor does it. */
export function onDenoExit(hook: () => void): void {
  onUnload(hook, false);
}

/** See `Adapter.onEnd`. */
export function onDenoEnd(signals: readonly string[], hook: () => void): void {
  const { Deno, process } = globalThis as unknown as { Deno: DenoSignals; process: NodeProcess };
  onUnload(hook, true);
  process.on("exit", hook); // process.exit()
  for (const event of ["error", "unhandledrejection"]) {
    globalThis.addEventListener(event, (uncaught) => uncaught.defaultPrevented || hook());
  }
  for (const signal of signals) {
    const listener = (): void => {
      hook();
      // Whether the program itself listens cannot be seen here: if so, its listener hears this a second time.
      Deno.removeSignalListener(signal, listener);
      Deno.kill(Deno.pid, signal);
    };
    Deno.addSignalListener(signal, listener);
  }
}
