/**
 * How things are written for people.
 *
 * @module
 */

import type { InstanceInfo, ProcessInfo } from "../../mod.ts";

/** What could move a terminal's cursor, break the line, or turn its direction. */
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** An argument as a shell would take it; nothing in it can move a terminal's cursor or break the line. */
export function quote(argument: string): string {
  if (/^[\w@%+=:,./-]+$/.test(argument)) return argument;
  if (argument.search(INVISIBLE) < 0) return `'${argument.replaceAll("'", `'\\''`)}'`;
  return `$'${argument.replace(/[\\']/g, "\\$&").replace(INVISIBLE, escape)}'`;
}

/** A character as it stands inside `$'...'`. */
function escape(character: string): string {
  const short = { "\n": "\\n", "\r": "\\r", "\t": "\\t" }[character];
  const code = character.codePointAt(0)!.toString(16);
  return short ?? (code.length > 4 ? `\\U${code.padStart(8, "0")}` : `\\u${code.padStart(4, "0")}`);
}

/** JSON in which everything invisible is escaped, also what the standard lets pass. */
export function toJson(value: unknown): string {
  return JSON.stringify(value).replace(INVISIBLE, (character) =>
    Array.from({ length: character.length }, (_, i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, "0")}`).join(""));
}

/** Text of at most `length` characters; `…` where some are missing. */
export function cut(text: string, length: number): string {
  const characters = Array.from(text);
  return characters.length <= length ? text : `${characters.slice(0, length - 1).join("")}…`;
}

/** A number of bytes. */
export function size(bytes: number): string {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  let number = bytes;
  for (; number >= 1024 && unit < units.length - 1; unit++) number /= 1024;
  // Rounded down to three digits: "4 KiB" are 4 KiB or a little more, never less.
  const digits = number < 10 ? 2 : number < 100 ? 1 : 0;
  const rounded = Math.floor(number * 10 ** digits) / 10 ** digits;
  return `${rounded} ${bytes === 1 ? "byte" : units[unit]}`;
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
