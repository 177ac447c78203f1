/**
 * Who holds a guard, as commands tell it.
 *
 * @module
 */

import {
  BusyError,
  IncompatibleError,
  type InstanceInfo,
  NotRunningError,
  type PlaceOptions,
  SingleInstance,
} from "../../mod.ts";
import { command, quote, toJson } from "./text.ts";

/** What is known of a guard's holder. */
export interface Holder {
  /** Is there one? `undefined`: nobody here may find out. */
  readonly held: boolean | undefined;
  readonly info?: InstanceInfo;
  readonly pid?: number | undefined;
  /** Why it cannot be described. */
  readonly problem?: string;
}

/** Asks who holds a guard. */
export async function holderOf(name: string, place: PlaceOptions): Promise<Holder> {
  try {
    using running = await SingleInstance.connect(name, place);
    return { held: true, info: running.info, pid: running.info.pid };
  } catch (error) {
    if (error instanceof NotRunningError) return { held: false };
    if (error instanceof BusyError) return { held: true, pid: error.pid, problem: error.message };
    if (error instanceof IncompatibleError) return { held: true, problem: error.message };
    throw error;
  }
}

/** A holder in JSON; what is unknown is null. */
export function holderFields({ info, pid, problem }: Holder): object {
  const data = info?.data;
  const isBytes = data instanceof Uint8Array;
  return {
    pid: pid ?? null,
    startedAt: info?.startedAt ?? null,
    args: info?.args ?? null,
    cwd: info?.cwd ?? null,
    data: isBytes ? null : data ?? null,
    dataBase64: isBytes ? base64(data) : null,
    problem: problem ?? null,
  };
}

/** What a holder tells of itself, as rows of a label and a text. */
export function holderRows({ info, problem }: Holder): [string, string][] {
  const rows: [string, string][] = [];
  if (command(info) !== "") rows.push(["command", command(info)]);
  if (info?.cwd) rows.push(["directory", quote(info.cwd)]);
  if (info?.data instanceof Uint8Array) rows.push(["data", `${info.data.length} bytes`]);
  else if (info?.data !== undefined) rows.push(["data", toJson(info.data)]);
  if (problem !== undefined) rows.push(["problem", problem]);
  return rows;
}

/** Bytes in base64. */
export function base64(bytes: Uint8Array): string {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}
