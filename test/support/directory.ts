/** A directory of one's own for every test, so that tests do not meet each other or what runs on the machine. */

import { mkdtempSync, readdirSync, rmSync } from "node:fs";

/** Makes one; `entries()` is what a leak would show in. */
export function testDirectory(): Disposable & { path: string; entries(): string[] } {
  const path = mkdtempSync("/dev/shm/qshm-test-");
  return {
    path,
    entries: () => readdirSync(path).sort(),
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  };
}
