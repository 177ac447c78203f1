/**
 * Where the native library is: beside this file; where a bundler put it; or, where this file came over the network, in
 * `embedded.json`. In a checkout that one is empty, so that nobody reads it who needs it not: `make -C c jsr` fills it in what
 * is published. The import is static, so that whoever fetches the module has the library too.
 *
 * @module
 */

import { bundledLibrary } from "./bundled.ts";
import embedded from "./embedded.json" with { type: "json" };
import { LoadError } from "./load_error.ts";
import type { Adapter, LibraryCopy, Place } from "./native.ts";

/** The operating systems and processors for which there is a library. */
const PLATFORMS: readonly string[] = ["linux-x64", "linux-arm64"];

const UNPACKED = "the executable unpacks it into TMPDIR, else /tmp: let TMPDIR name a directory where files may be made and run";

/** Is there a library for the running platform? */
export function isSupportedPlatform(adapter: Adapter): boolean {
  return PLATFORMS.includes(adapter.platform());
}

/** The places to try first, the best first: `QSHM_LIBRARY` alone if it is set and may be read. */
export function libraryPlaces(adapter: Adapter): Iterable<Place> {
  const override = overridden(adapter);
  if (override !== undefined) return [{ path: override }];
  const copy = (embedded as Readonly<Record<string, LibraryCopy>>)[adapter.platform()];
  if (copy !== undefined && adapter.copies !== undefined) return adapter.copies(copy);
  return adapter.isExecutable?.() ? [] : [{ path: beside(adapter) }];
}

/** The places to try then: where a bundler put the library. */
export function bundledPlaces(adapter: Adapter): Iterable<Place> {
  if (overridden(adapter) !== undefined) return [];
  const isExecutable = adapter.isExecutable?.() ?? false;
  if (!isExecutable && adapter.isFile?.(beside(adapter))) return []; // Bun would run as a script what it could not load
  const bundled = bundledLibrary();
  if (bundled === undefined) return [];
  return [{ path: filePath(bundled), ...(isExecutable ? { condition: UNPACKED } : {}) }];
}

function overridden(adapter: Adapter): string | undefined {
  return adapter.env("QSHM_LIBRARY") || undefined;
}

function beside(adapter: Adapter): string {
  const here = import.meta.url as string | undefined;
  if (!here?.startsWith("file:")) throw new LoadError(`Cannot load the native library: ${absence(here)}, or set QSHM_LIBRARY`, false);
  return filePath(new URL(`./lib/${adapter.platform()}.so`, here));
}

function absence(here: string | undefined): string {
  return here === undefined
    ? "this bundle is not an ES module, and so cannot tell where it is: bundle with --format=esm"
    : `there is none in this copy of the package (${here}): import what is published, or what \`make -C c jsr\` makes`;
}

function filePath(url: URL): string {
  return decodeURIComponent(url.pathname);
}
