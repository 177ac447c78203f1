/** The C++ peer of `test/interop/qt_peer`, built against each Qt that is installed. */

import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { ROOT } from "./runtimes.ts";

export const QTS = ["qt5", "qt6"] as const;
export type QtName = (typeof QTS)[number];

/** Is this one of them? */
export function isQt(name: string): name is QtName {
  return (QTS as readonly string[]).includes(name);
}

const BUILD = `${ROOT}c/build/qt_peer`;

/** The path of the program. Make looks whether it is up to date; several test files may ask at once. */
export function qtPeer(qt: QtName): string {
  mkdirSync(BUILD, { recursive: true });
  execFileSync("flock", [`${BUILD}/${qt}.lock`, "make", "-s", "-C", `${ROOT}test/interop/qt_peer`, qt], { stdio: "inherit" });
  return `${BUILD}/${qt}`;
}
