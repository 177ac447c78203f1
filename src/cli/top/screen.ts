/**
 * The terminal while something else than lines is shown on it.
 *
 * @module
 */

import type { Size } from "./view.ts";

/** Another screen, no cursor, and what is too long is not wrapped. */
const ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l";
const STDOUT = 1;
const CTRL_Z = "\x1a";
/** ms until it is clear that nobody stops us. */
const SETTLED = 50;
const FALLBACK: Size = { columns: 80, rows: 24 };

/** What a screen tells. */
export interface ScreenListener {
  /** A key was pressed. */
  key(key: string): void;
  /** It has to be drawn anew. */
  redraw(): void;
}

type Process = (typeof import("node:process"))["default"];

/** A terminal; it is as it was when it was disposed of, and at the end of the process at the latest. */
export class Screen implements Disposable {
  readonly #process: Process;
  readonly #writeNow: (text: string) => void;
  readonly #listener: ScreenListener;
  #isOpen = true;
  #isShown = false;

  private constructor(process: Process, writeNow: (text: string) => void, listener: ScreenListener) {
    this.#process = process;
    this.#writeNow = writeNow;
    this.#listener = listener;
    process.on("exit", () => this[Symbol.dispose]());
    process.on("SIGWINCH", () => this.#isOpen && listener.redraw());
    process.on("SIGCONT", () => this.#resume());
    if (process.stdin.isTTY === true) {
      process.stdin.on("error", () => {}); // the terminal is gone, and SIGHUP tells
      process.stdin.on("data", (bytes) => this.#type(new TextDecoder().decode(bytes)));
    }
    this.#enter();
  }

  /** Takes the terminal over. `undefined`: standard output is none. */
  static async open(listener: ScreenListener): Promise<Screen | undefined> {
    const { default: process } = await import("node:process");
    const { isatty } = await import("node:tty");
    const { writeSync } = await import("node:fs");
    if (!isatty(STDOUT)) return undefined;
    const writeNow = (text: string): void => {
      try {
        writeSync(STDOUT, new TextEncoder().encode(text));
      } catch {
        // the terminal is gone, or takes nothing now
      }
    };
    return new Screen(process, writeNow, listener);
  }

  /** How much fits. */
  get size(): Size {
    const { columns, rows } = this.#process.stdout;
    return { columns: columns || FALLBACK.columns, rows: rows || FALLBACK.rows };
  }

  /** The bytes that show these lines, and nothing else. */
  picture(lines: readonly string[]): Uint8Array {
    // Each line is cleared before it is written: at the last column a terminal would clear what stands there.
    return new TextEncoder().encode(`\x1b[H${lines.map((line) => `\x1b[K${line}`).join("\r\n")}\x1b[0J`);
  }

  /** Gives it back. */
  [Symbol.dispose](): void {
    this.#isOpen = false;
    this.#leave();
  }

  #type(keys: string): void {
    for (const key of keys) {
      if (key === CTRL_Z) this.#suspend();
      else this.#listener.key(key);
    }
  }

  #enter(): void {
    if (this.#isShown) return;
    this.#isShown = true;
    this.#setRaw(true); // first: in the background the system stops us here
    this.#writeNow(ENTER);
  }

  #leave(): void {
    if (!this.#isShown) return;
    this.#isShown = false;
    this.#setRaw(false);
    this.#writeNow(LEAVE);
  }

  #setRaw(isRaw: boolean): void {
    const { stdin } = this.#process;
    if (stdin.isTTY !== true) return;
    try {
      stdin.setRawMode(isRaw);
      if (isRaw) stdin.resume();
      else stdin.pause();
    } catch {
      // the terminal is gone
    }
  }

  /** As every program does at Ctrl-Z. */
  #suspend(): void {
    this.#leave();
    this.#process.kill(this.#process.pid, "SIGTSTP");
    setTimeout(() => this.#resume(), SETTLED); // where no shell waits, the system does not stop us
  }

  /** Somebody else may have used the terminal. */
  #resume(): void {
    if (!this.#isOpen) return;
    this.#leave();
    this.#enter();
    this.#listener.redraw();
  }
}
