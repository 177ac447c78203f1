/** Segments in every state that the command has to cope with. */

import { copyFileSync, truncateSync, writeFileSync } from "node:fs";
import { SharedMemory, SingleInstance } from "../../mod.ts";
import { testDirectory } from "../support/directory.ts";
import { poke } from "../support/kernel.ts";

/** Fields of the header (c/src/layout.h). */
const LAYOUT = 4;
const FLAGS = 7;
const FINGERPRINT = 8;

/** A memory as a crash leaves it; `contents` are its payload. */
export function makeDead(directory: string, key: string, contents: Uint8Array = new Uint8Array(10)): string {
  const path = `${directory}/m-${key}`;
  using elsewhere = testDirectory(); // to create sweeps up what is dead
  using memory = SharedMemory.create(key, contents.length, { directory: elsewhere.path });
  memory.write(contents);
  copyFileSync(memory.path, path);
  return path;
}

/** As `makeDead`, of contents that are kept. */
export function makePersistent(directory: string, key: string, contents?: Uint8Array): string {
  const path = makeDead(directory, key, contents);
  poke(path, FLAGS, Uint8Array.of(1));
  return path;
}

/** A guard whose holder crashed. */
export async function makeDeadGuard(directory: string, name: string): Promise<string> {
  const path = `${directory}/i-${name}`;
  using elsewhere = testDirectory();
  using _guard = await SingleInstance.acquire(name, { directory: elsewhere.path });
  copyFileSync(`${elsewhere.path}/i-${name}`, path);
  return path;
}

/** A file that is no segment. */
export function makeForeign(directory: string, key: string): string {
  const path = `${directory}/m-${key}`;
  writeFileSync(path, "hello, this is no segment at all");
  return path;
}

/** A segment of a layout to come. */
export function makeFuture(directory: string, key: string): string {
  const path = makeDead(directory, key);
  poke(path, LAYOUT, Uint8Array.of(99, 0));
  return path;
}

/** A segment whose control block is damaged. */
export function makeCorrupt(directory: string, key: string): string {
  const path = makeDead(directory, key);
  poke(path, FINGERPRINT, Uint8Array.of(1, 2, 3, 4));
  return path;
}

/** A segment that was cut off. */
export function makeTruncated(directory: string, key: string): string {
  const path = makeDead(directory, key);
  truncateSync(path, 4096);
  return path;
}
