/**
 * Standard output, to the last byte. `console.log` leaves writing to the runtime, and Node loses what a slow reader has
 * not taken when the process ends.
 *
 * @module
 */

const STDOUT = 1;
/** ms until another attempt, where somebody made the pipe non-blocking and its reader is slow. */
const PAUSE = 5;

/** Writes bytes. `false`: nobody reads any more, which is no mistake (`qshm list | head`). */
export async function write(bytes: Uint8Array): Promise<boolean> {
  const { writeSync } = await import("node:fs");
  for (let at = 0; at < bytes.length;) {
    try {
      at += writeSync(STDOUT, bytes.subarray(at));
    } catch (error) {
      const { code } = error as { code?: string };
      if (code === "EPIPE") return false;
      if (code !== "EAGAIN") throw error;
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  }
  return true;
}

/** Writes text and a newline. */
export function print(text: string): Promise<boolean> {
  return write(new TextEncoder().encode(`${text}\n`));
}
