/**
 * How things are written for people.
 *
 * @module
 */

import type { InstanceInfo, ProcessInfo } from "../../mod.ts";

/** An argument as a shell would take it; nothing in it can move a terminal's cursor or break the line. */
export function quote(argument: string): string {
  if (/^[\w@%+=:,./-]+$/.test(argument)) return argument;
  // deno-lint-ignore no-control-regex
  if (/[\x00-\x1f\x7f-\x9f\u2028\u2029]/.test(argument)) {
    const escaped = JSON.stringify(argument).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")
      .replace(/[\x7f-\x9f\u2028\u2029]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
    return `$'${escaped}'`;
  }
  return `'${argument.replaceAll("'", `'\\''`)}'`;
}

/** A point in time, in this machine's zone. */
export function time(date: Date): string {
  const two = (number: number): string => String(number).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ` +
    `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** A process, as far as it is known. */
export function who(info: ProcessInfo | undefined, pid: number | undefined = info?.pid): string {
  const process = pid === undefined ? "a process that cannot be seen from here" : `process ${pid}`;
  return info?.startedAt === undefined ? process : `${process} since ${time(info.startedAt)}`;
}

/** What an instance was started with, if it says so. */
export function command(info: InstanceInfo | undefined): string {
  return info === undefined || info.args.length === 0 ? "" : info.args.map(quote).join(" ");
}
