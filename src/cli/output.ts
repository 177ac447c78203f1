/**
 * Standard output, to the last byte. `console.log` leaves writing to the runtime, and Node loses what a slow reader has
 * not taken when the process ends.
 *
 * @module
 */

const STDOUT = 1;
/** ms until another attempt, where somebody made the pipe non-blocking and its reader is slow. */
const PAUSE = 5;

/**
 * Writes bytes, to standard output unless told otherwise. `false`: nobody reads any more, which is no mistake
 * (`qshm list | head`).
 */
export async function write(bytes: Uint8Array, fd: number = STDOUT): Promise<boolean> {
  const { writeSync } = await import("node:fs");
  for (let at = 0; at < bytes.length;) {
    try {
      at += writeSync(fd, bytes.subarray(at));
    } catch (error) {
      const { code } = error as { code?: string };
      if (code === "EPIPE") return false;
      if (code !== "EAGAIN") throw error;
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  }
  return true;
}

/**
 * As {@linkcode write}, but while its reader is slow everything else goes on. `false` also when `signal` aborts: then the
 * rest may still be on its way, and only `exitAtOnce` does not wait for it.
 */
export async function writeUnless(signal: AbortSignal, bytes: Uint8Array): Promise<boolean> {
  if (signal.aborted) return false;
  const { promise: aborted, resolve } = Promise.withResolvers<false>();
  const onAbort = (): void => resolve(false);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([writeMeanwhile(signal, bytes), aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

async function writeMeanwhile(signal: AbortSignal, bytes: Uint8Array): Promise<boolean> {
  const fs = await import("node:fs");
  const writeSome = (at: number): Promise<number> =>
    new Promise((resolve, reject) =>
      fs.write(STDOUT, bytes.subarray(at), (error, written) => error === null ? resolve(written) : reject(error)));
  for (let at = 0; at < bytes.length && !signal.aborted;) {
    try {
      at += await writeSome(at);
    } catch (error) {
      const { code } = error as { code?: string };
      if (code === "EPIPE" || code === "EIO") return false; // EIO: a terminal that is gone
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
