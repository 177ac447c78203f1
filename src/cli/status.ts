/**
 * `qshm status`: who holds a name.
 *
 * @module
 */

import { type Arguments, type Command, COMMON, COMMON_HELP, placeOf, readArguments } from "./command.ts";
import { EXIT } from "./exit_codes.ts";
import { type Holder, holderFields, holderOf, holderRows } from "./holder.ts";
import { print } from "./output.ts";
import { toJson, who } from "./text.ts";

/** `qshm status`. */
export const status: Command = {
  summary: "tell who holds NAME",
  help: `Usage: qshm status [OPTION...] NAME

Tells who holds NAME. Changes nothing.

${COMMON_HELP}

With --json: {"name", "held", "pid", "startedAt", "args", "cwd", "data", "dataBase64", "problem"}. What is unknown is
null; "data" is what the holder told as JSON, "dataBase64" what it told as bytes; "problem" says why a holder cannot be
described.

Exit status: 0 it is held; 1 it is free; 64 wrong usage; 77 no permission.`,

  async run({ text }: Arguments): Promise<number> {
    const { values, operands } = readArguments(text, COMMON, ["NAME"]);
    const name = operands[0]!;
    const holder = await holderOf(name, placeOf(values.directory));
    await print(values.json === true ? toJson({ name, held: holder.held, ...holderFields(holder) }) : describe(name, holder));
    return holder.held ? EXIT.ok : EXIT.no;
  },
};

function describe(name: string, holder: Holder): string {
  if (!holder.held) return `${toJson(name)} is free`;
  const rows = holderRows(holder).map(([label, value]) => `  ${label.padEnd(11)}${value}`);
  return [`${toJson(name)} is held by ${who(holder.info, holder.pid)}`, ...rows].join("\n");
}
