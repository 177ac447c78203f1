/**
 * The check of the container: what do those inside and outside of it see of each other?
 *
 * @module
 */

import { type Finding, ok } from "./finding.ts";
import type { System } from "./system.ts";

/** The numbers that the kernel gives to the namespaces of the machine itself, on every machine (linux/proc_ns.h). */
const OF_THE_MACHINE: Readonly<Record<string, string>> = { pid: "pid:[4026531836]", user: "user:[4026531837]" };

const CONSEQUENCES: Readonly<Record<string, string>> = {
  pid: "a PID namespace of its own (those outside have no pid here, and replace does not end them)",
  user: "a user namespace of its own (users have other numbers outside)",
};

/** Is this a container, and who meets those in it? */
export function checkContainer(system: System, path: string): Finding {
  const check = "container";
  const namespaces = Object.keys(OF_THE_MACHINE).map((kind) => ({ kind, here: system.target(`/proc/self/ns/${kind}`) }));
  if (namespaces.every(({ here }) => here === undefined)) return ok(check, "not known");
  const own = namespaces.filter(({ kind, here }) => here !== undefined && here !== OF_THE_MACHINE[kind]);
  if (own.length === 0) return ok(check, "none: the PID and user namespaces of the machine");
  const isInShm = `${system.resolve(path) ?? path}/`.startsWith("/dev/shm/");
  const meets = isInShm
    ? "it meets others only where they share /dev/shm (--ipc=host, or --ipc=container:NAME)"
    : "it meets others only where they have this directory as well (the same volume)";
  return ok(check, `${own.map(({ kind }) => CONSEQUENCES[kind]).join(", ")}; ${meets}`);
}
