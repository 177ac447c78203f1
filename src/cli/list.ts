/**
 * `qshm list`: what exists.
 *
 * @module
 */

import { list as listSegments, type SegmentInfo } from "../../mod.ts";
import { type Arguments, type Command, COMMON, COMMON_HELP, placeOf, readArguments } from "./command.ts";
import { directoryOf } from "./directory.ts";
import { EXIT } from "./exit_codes.ts";
import type { Holder } from "./holder.ts";
import { print } from "./output.ts";
import { attachedCell, guardOf, lockCell, pending, RECORD_HELP, record, stateOf } from "./segment_text.ts";
import { table } from "./table.ts";
import { cut, quote, size, toJson } from "./text.ts";

const HEADER = ["KIND", "KEY", "SIZE", "STATE", "ATTACHED", "HELD BY"];
/** Longer keys are cut in the table. */
const LONGEST_KEY = 64;
const MOST_PIDS = 5;

/** `qshm list`. */
export const list: Command = {
  summary: "list what exists, and who uses it",
  help: `Usage: qshm list [OPTION...]

Lists all segments of the directory. Changes nothing.

STATE: live, somebody is attached; dead, nobody is, and the next create or attach reclaims it; foreign, made by another
version or no segment at all; corrupt, its control block is damaged; persistent, it is kept when nobody is attached.
ATTACHED: how many times, and by which processes. HELD BY: who has the lock of a memory, or the guard of an instance,
and how many messages wait for that one or are being handled.
A "?" is a process that cannot be seen from here.

${COMMON_HELP}

With --json an array of ${RECORD_HELP}

Exit status: 0, also if there is nothing; 64 wrong usage; 77 no permission.`,

  async run({ text }: Arguments): Promise<number> {
    const { values } = readArguments(text, COMMON, []);
    const place = placeOf(values.directory);
    const segments: [SegmentInfo, Holder | undefined][] = [];
    for (const info of listSegments(place)) segments.push([info, await guardOf(info, place)]);
    if (values.json === true) {
      await print(toJson(segments.map(([info, holder]) => record(info, holder))));
    } else if (segments.length === 0) {
      await print(`there is nothing in ${quote((await directoryOf(values.directory)).path)}`);
    } else {
      await print(table([HEADER, ...segments.map(([info, holder]) => cells(info, holder))]));
    }
    return EXIT.ok;
  },
};

function cells(info: SegmentInfo, holder: Holder | undefined): string[] {
  return [
    info.kind,
    quote(cut(info.key, LONGEST_KEY)),
    info.size === 0 ? "-" : size(info.size),
    stateOf(info),
    attachedCell(info, MOST_PIDS),
    holder === undefined ? lockCell(info) : guardedBy(info, holder),
  ];
}

function guardedBy(info: SegmentInfo, { held, pid }: Holder): string {
  const messages = pending(info);
  return held === false ? "-" : `${pid ?? "?"}${messages === undefined ? "" : `: ${messages}`}`;
}
