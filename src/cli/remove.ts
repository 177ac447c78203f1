/**
 * `qshm remove`: removes one segment, or all that crashes left.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { BusyError, list, type PlaceOptions, type SegmentInfo } from "../../mod.ts";
import { removeFile } from "../command.ts";
import { type Arguments, asUsage, type Command, COMMON, COMMON_HELP, placeOf, readArguments } from "./command.ts";
import { EXIT, UsageError } from "./exit_codes.ts";
import { print } from "./output.ts";
import { find, nameOf, notFound, SEGMENT_NAME, SEGMENT_NAME_HELP } from "./segment_name.ts";
import { guardOf, users } from "./segment_text.ts";
import { toJson, who } from "./text.ts";

const OPTIONS = { ...COMMON, force: { type: "boolean" }, dead: { type: "boolean" } } as const;

/** `qshm remove`. */
export const remove: Command = {
  summary: "remove a segment, or all that are dead",
  help: `Usage: qshm remove [OPTION...] [--force] ${SEGMENT_NAME}
       qshm remove [OPTION...] --dead

Removes a segment that nobody uses, also one that is persistent, foreign or corrupt. Nobody has to do so: what is dead is
reclaimed by its next user.

${SEGMENT_NAME_HELP}

  --force           also if it is in use: those attached keep what they have, but nobody can join them. Never a guard that
                    is held
  --dead            all segments that nobody uses and that are not persistent, guards included. What is foreign stays
${COMMON_HELP}

With --json: {"removed": [{"kind", "key", "path"}]}.

Exit status: 0 removed, or nothing is dead; 64 wrong usage; 69 there is no such segment; 75 it is in use; 77 no permission.`,

  async run({ text }: Arguments): Promise<number> {
    const dead = asUsage(() => parseArgs({ args: [...text], options: OPTIONS, allowPositionals: true })).values.dead === true;
    const { values, operands } = readArguments(text, OPTIONS, dead ? [] : [SEGMENT_NAME]);
    if (dead && values.force === true) throw new UsageError("--dead does not go with --force");
    const place = placeOf(values.directory);
    const removed = dead ? removeDead(place) : [await removeOne(find(operands[0]!, place), values.force === true, place)];
    if (values.json === true) {
      await print(toJson({ removed: removed.map(({ kind, key, path }) => ({ kind, key, path })) }));
    } else if (removed.length === 0) {
      await print("nothing is dead");
    } else {
      await print(removed.map((info) => `removed ${nameOf(info)}`).join("\n"));
    }
    return EXIT.ok;
  },
};

async function removeOne(info: SegmentInfo, force: boolean, place: PlaceOptions): Promise<SegmentInfo> {
  const name = nameOf(info);
  const holder = await guardOf(info, place);
  if (holder?.held === true) {
    const by = who(holder.info, holder.pid);
    throw busy(info, `${name} is held by ${by}: a guard that is held stays, end its holder`, holder.pid);
  }
  if (info.attached.length > 0 && !force) {
    const by = users(info.attached);
    throw busy(info, `${name} is in use by ${by}; --force removes it all the same`, info.attached[0]!.pid);
  }
  if (!removeFile(info, { ...place, force })) throw notFound(info);
  return info;
}

/** What somebody has come to use meanwhile stays, and is no mistake. */
function removeDead(place: PlaceOptions): SegmentInfo[] {
  return list(place).filter(isDead).filter((info) => {
    try {
      return removeFile(info, { ...place, force: false });
    } catch (error) {
      if (error instanceof BusyError) return false;
      throw error;
    }
  });
}

/** Of a corrupt segment the part that tells life and death from each other is as good as ever. */
function isDead({ state, persistent, attached }: SegmentInfo): boolean {
  return (state === "dead" || state === "corrupt") && !persistent && attached.length === 0;
}

function busy({ key }: SegmentInfo, message: string, pid: number | undefined): BusyError {
  return new BusyError(message, { code: "Busy", operation: "remove", key, pid });
}
