/**
 * Where the native library is.
 *
 * @module
 */

import type { Adapter } from "./native.ts";

/** The operating systems and processors for which there is a library. */
const PLATFORMS: readonly string[] = ["linux-x64", "linux-arm64"];

/** Is there a library for the running platform? */
export function isSupportedPlatform(adapter: Adapter): boolean {
  return PLATFORMS.includes(adapter.platform());
}

/** The paths to try, best first: `QSHM_LIBRARY` alone if it is set and may be read, else the one beside this file. */
export function libraryPaths(adapter: Adapter): string[] {
  const override = adapter.env("QSHM_LIBRARY");
  if (override !== undefined && override !== "") return [override];
  return [filePath(new URL(`./lib/${adapter.platform()}.so`, import.meta.url))];
}

function filePath(url: URL): string {
  return url.protocol === "file:" ? decodeURIComponent(url.pathname) : url.href;
}
