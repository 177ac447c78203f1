/**
 * Checks of what runs: the runtime, the platform, the library, the limits and the environment.
 *
 * @module
 */

import { LibraryError, UnsupportedPlatformError } from "../../../mod.ts";
import { host, loadedLibrary } from "../../command.ts";
import { quote } from "../text.ts";
import { broken, type Finding, ok, warning } from "./finding.ts";
import type { System } from "./system.ts";
import { libcOf, tierOf } from "./tier.ts";

const FFI_FLAG = "--experimental-ffi";

/** Which runtime it is, and whether programs have to start it with a flag. */
export async function checkRuntime(): Promise<Finding> {
  const { default: process } = await import("node:process");
  const { runtime } = host();
  return describeRuntime(runtime, process.versions[runtime] ?? "of an unknown version", process.execArgv);
}

/** As {@linkcode checkRuntime}, of any runtime. */
export function describeRuntime(runtime: string, version: string, flags: readonly string[]): Finding {
  const name = `${runtime} ${version}`;
  if (runtime !== "node") return ok("runtime", name);
  return flags.includes(FFI_FLAG)
    ? warning("runtime", `${name}, with ${FFI_FLAG}`, `start your programs with that flag as well, or use Node 26.9 or newer`)
    : ok("runtime", `${name}, which needs no ${FFI_FLAG}`);
}

/** Is there a library for the platform, does it load, and do the two fit together? */
export function checkLibrary(system: System): Finding[] {
  const { platform, runtime } = host();
  const libc = libcOf(system);
  const tried = ok("platform", `${platform}, ${libc}; ${tierOf({ platform, libc, runtime })}`);
  try {
    const { path, interfaceVersion } = loadedLibrary();
    return [tried, ok("library", `${quote(path)}, interface version ${interfaceVersion}`)];
  } catch (error) {
    if (error instanceof UnsupportedPlatformError) {
      return [broken("platform", error.message, "see the platforms in the README")];
    }
    if (!(error instanceof LibraryError)) throw error;
    const remedy = system.environment.QSHM_LIBRARY
      ? "unset QSHM_LIBRARY, or let it name the library of this release"
      : "install the package again, or, in a checkout, run `make -C c`";
    return [tried, broken("library", oneLine(error.message), remedy)];
  }
}

/** A runtime's message may have several lines. */
export function oneLine(message: string): string {
  return message.trim().replaceAll(/\s+/g, " ");
}

/** Each attachment takes one. */
const FEW_FILES = 256;

/** How many files may a program have open? */
export function checkOpenFiles(system: System): Finding {
  const limit = /^Max open files +(\S+)/m.exec(system.read("/proc/self/limits") ?? "")?.[1];
  if (limit === undefined) return ok("open files", "the limit is not known");
  const found = `at most ${limit}, each attachment takes one`;
  return Number(limit) < FEW_FILES ? warning("open files", found, "raise the limit: ulimit -n 4096") : ok("open files", found);
}

const VARIABLES = ["QSHM_DIRECTORY", "QSHM_LIBRARY", "QSHM_RUNTIME", "QSHM_DEBUG"];
/** The launcher's own. */
const INTERNAL = /^QSHM_(ARGUMENT_\d+|SIGNALS_IGNORED)$/;

/** Which variables change what qshm does? */
export function checkEnvironment({ environment }: System): Finding {
  const set = Object.keys(environment).filter((name) => name.startsWith("QSHM_") && !INTERNAL.test(name)).sort();
  if (set.length === 0) return ok("environment", "no variable of qshm is set");
  const found = set.map((name) => `${name}=${quote(environment[name] ?? "")}`).join(" ");
  const unknown = set.filter((name) => !VARIABLES.includes(name));
  return unknown.length === 0
    ? ok("environment", found)
    : warning("environment", found, `${unknown.join(", ")} means nothing; known are ${VARIABLES.join(", ")}`);
}
