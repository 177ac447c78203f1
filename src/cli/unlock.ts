/**
 * `qshm unlock`: takes a lock away from its owner.
 *
 * @module
 */

import { BusyError, type PlaceOptions, type ProcessInfo, type SegmentInfo, SharedMemory } from "../../mod.ts";
import { type Arguments, type Command, COMMON, COMMON_HELP, placeOf, readArguments } from "./command.ts";
import { EXIT, UsageError } from "./exit_codes.ts";
import { print } from "./output.ts";
import { find, nameOf, SEGMENT_NAME, SEGMENT_NAME_HELP } from "./segment_name.ts";
import { guardOf, processRecord } from "./segment_text.ts";
import { toJson, who } from "./text.ts";

const OPTIONS = { ...COMMON, force: { type: "boolean" } } as const;

/** `qshm unlock`. */
export const unlock: Command = {
  summary: "take the lock of a memory away from an owner that hangs",
  help: `Usage: qshm unlock [OPTION...] --force ${SEGMENT_NAME}

Takes the lock of a memory away from its owner, which may hang or be stopped. The owner's unlock() then throws, and the
next owner is told that the last one was forced inside. An owner that died needs none of this: the next one gets the lock
at once. Without --force it only tells who the owner is.

${SEGMENT_NAME_HELP}

  --force           do it
${COMMON_HELP}

With --json: {"kind", "key", "unlocked", "owner": {"pid", "startedAt", "alive"}}; "owner" is null if the lock was free.

Exit status: 0 it was unlocked, or is free; 64 wrong usage; 69 there is no such segment; 75 it is held, and --force was
not given; 77 no permission.`,

  async run({ text }: Arguments): Promise<number> {
    const { values, operands } = readArguments(text, OPTIONS, [SEGMENT_NAME]);
    const place = placeOf(values.directory);
    const info = find(operands[0]!, place);
    const name = nameOf(info);
    if (info.kind === "instance") await refuseGuard(info, name, place);
    else if (info.kind !== "memory") throw new UsageError(`${name} has no lock that could be taken away`);

    const owner = info.lockOwner?.alive ? info.lockOwner : undefined;
    if (owner !== undefined && values.force !== true) {
      throw busy(info, `${name} is locked by ${who(owner)}; --force takes the lock away from it`, owner.pid);
    }
    const former = owner === undefined ? undefined : takeAway(info, owner, place);
    if (values.json === true) {
      const { kind, key } = info;
      const record = former === undefined ? null : processRecord(former);
      await print(toJson({ kind, key, unlocked: former !== undefined, owner: record }));
    } else if (former !== undefined) {
      await print(`${name} is unlocked: ${who(owner)} had the lock`);
    } else {
      await print(info.lockOwner === undefined || owner !== undefined
        ? `${name} is not locked`
        : `${name} needs no unlocking: its owner died, and the next one gets the lock at once`);
    }
    return EXIT.ok;
  },
};

/** Only from the owner that was seen: meanwhile another one may have it. */
function takeAway(info: SegmentInfo, owner: ProcessInfo, place: PlaceOptions): ProcessInfo | undefined {
  using memory = SharedMemory.attach(info.key, place);
  return memory.forceUnlock(owner);
}

async function refuseGuard(info: SegmentInfo, name: string, place: PlaceOptions): Promise<void> {
  const holder = await guardOf(info, place);
  if (holder?.held === false) return;
  const by = who(holder?.info, holder?.pid);
  throw busy(info, `${name} is held by ${by}: a guard cannot be unlocked, end its holder`, holder?.pid);
}

function busy({ key }: SegmentInfo, message: string, pid: number | undefined): BusyError {
  return new BusyError(message, { code: "Busy", operation: "unlock", key, pid });
}
