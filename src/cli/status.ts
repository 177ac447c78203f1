/**
 * `qshm status`: who holds a name.
 *
 * @module
 */

import { inspect, type SegmentInfo } from "../../mod.ts";
import { type Arguments, type Command, COMMON, COMMON_HELP, placeOf, readArguments } from "./command.ts";
import { EXIT } from "./exit_codes.ts";
import { type Holder, holderFields, holderOf, holderRows } from "./holder.ts";
import { print } from "./output.ts";
import { pending } from "./segment_text.ts";
import { toJson, who } from "./text.ts";

/** `qshm status`. */
export const status: Command = {
  summary: "tell who holds NAME",
  help: `Usage: qshm status [OPTION...] NAME

Tells who holds NAME, and how many messages wait for it or are being handled. Changes nothing.

${COMMON_HELP}

With --json: {"name", "held", "pid", "startedAt", "args", "cwd", "data", "dataBase64", "problem", "pending"}. What
is unknown is null; "data" is what the holder told as JSON, "dataBase64" what it told as bytes; "problem" says why a holder
cannot be described; "pending" is how many messages wait for it or are being handled.

Exit status: 0 it is held; 1 it is free; 64 wrong usage; 77 no permission.`,

  async run({ text }: Arguments): Promise<number> {
    const { values, operands } = readArguments(text, COMMON, ["NAME"]);
    const name = operands[0]!;
    const place = placeOf(values.directory);
    const holder = await holderOf(name, place);
    const info = inspect("instance", name, place);
    await print(values.json === true ? toJson(record(name, holder, info)) : describe(name, holder, info));
    return holder.held ? EXIT.ok : EXIT.no;
  },
};

function record(name: string, holder: Holder, info: SegmentInfo | undefined): object {
  const pending = info === undefined ? 0 : info.instance?.pending ?? null;
  return { name, held: holder.held, ...holderFields(holder), pending };
}

function describe(name: string, holder: Holder, info: SegmentInfo | undefined): string {
  if (!holder.held) return `${toJson(name)} is free`;
  const messages = info === undefined ? undefined : pending(info);
  const facts = holderRows(holder);
  if (messages !== undefined) facts.push(["messages", messages]);
  const rows = facts.map(([label, value]) => `  ${label.padEnd(11)}${value}`);
  return [`${toJson(name)} is held by ${who(holder.info, holder.pid)}`, ...rows].join("\n");
}
