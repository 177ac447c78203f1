/**
 * `qshm show`: all that is known of one segment, and what it contains.
 *
 * @module
 */

import { NotFoundError, type PlaceOptions, type ProcessInfo, type SegmentInfo, type ValueInfo } from "../../mod.ts";
import { type Arguments, type Command, COMMON, COMMON_HELP, placeOf, readArguments } from "./command.ts";
import { Contents } from "./contents.ts";
import { EXIT, UsageError } from "./exit_codes.ts";
import { hexDump, row } from "./hex_dump.ts";
import { base64, type Holder, holderFields, holderRows } from "./holder.ts";
import { print, write } from "./output.ts";
import { find, nameOf, SEGMENT_NAME, SEGMENT_NAME_HELP } from "./segment_name.ts";
import { guardOf, pending, permits, RECORD_HELP, record, stateOf } from "./segment_text.ts";
import { cut, quote, size, toJson, who } from "./text.ts";
import { decode, LARGEST_VALUE } from "./value_text.ts";

const OPTIONS = { ...COMMON, hex: { type: "boolean" }, raw: { type: "boolean" } } as const;

/** `qshm show`. */
export const show: Command = {
  summary: "show a segment and its contents",
  help: `Usage: qshm show [OPTION...] ${SEGMENT_NAME}

Shows all that is known of a segment, and how the contents of a memory or a value begin. Changes nothing. A value is read
whole; what is read of a memory may be written to meanwhile: no lock is taken. Who holds how many permits of a semaphore is
not known, only who is attached.

${SEGMENT_NAME_HELP}

  --hex             the contents of a memory or a value, all of them, as hexdump -C shows them
  --raw             the contents of a memory or a value, byte for byte
${COMMON_HELP}

With --json: ${RECORD_HELP}
Of an instance also "holder": null if it is free, else {"pid", "startedAt", "args", "cwd", "data", "dataBase64",
"problem"} as qshm status tells it. With --json --raw also "dataBase64": the contents.

Exit status: 0; 64 wrong usage; 69 there is no such segment, or, with --hex and --raw, nothing of it to read; 77 no
permission.`,

  async run({ text }: Arguments): Promise<number> {
    const { values, operands } = readArguments(text, OPTIONS, [SEGMENT_NAME]);
    const { json = false, hex = false, raw = false } = values;
    if (hex && (raw || json)) throw new UsageError(`--hex does not go with ${raw ? "--raw" : "--json"}`);
    const place = placeOf(values.directory);
    const info = find(operands[0]!, place);
    if (hex || raw) {
      using contents = await readable(info, place);
      await (hex ? writeHex(contents) : json ? writeJson(info, contents) : writeRaw(contents));
    } else {
      const holder = await guardOf(info, place);
      await print(json ? toJson(described(info, holder)) : await describe(info, holder, place));
    }
    return EXIT.ok;
  },
};

/** The contents, where they are asked for. */
async function readable(info: SegmentInfo, place: PlaceOptions): Promise<Contents> {
  if (info.kind !== "memory" && info.kind !== "value") {
    throw new UsageError(`--hex and --raw show the contents of a memory or a value: ${nameOf(info)} is neither`);
  }
  const contents = await Contents.open(info, place);
  if (contents !== undefined) return contents;
  const why = info.value?.revision === 0 ? "was never set" : `is ${info.state}`;
  throw new NotFoundError(`${nameOf(info)} has nothing to read: it ${why}`, {
    code: "NotFound",
    operation: "show",
    key: info.key,
  });
}

async function writeRaw(contents: Contents): Promise<void> {
  for (const piece of contents.pieces()) if (!(await write(piece))) return;
}

async function writeHex(contents: Contents): Promise<void> {
  let lines: string[] = [];
  for (const line of hexDump(contents.pieces())) {
    lines.push(line);
    if (lines.length < LINES_AT_ONCE) continue;
    if (!(await print(lines.join("\n")))) return;
    lines = [];
  }
  if (lines.length > 0) await print(lines.join("\n"));
}

const LINES_AT_ONCE = 4096;

/** Written piece by piece: a string of everything might be longer than a string can be. */
async function writeJson(info: SegmentInfo, contents: Contents): Promise<void> {
  const text = new TextEncoder();
  const head = toJson(record(info, undefined)).slice(0, -1);
  if (!(await write(text.encode(`${head},"dataBase64":"`)))) return;
  for (const piece of contents.pieces()) if (!(await write(text.encode(base64(piece))))) return;
  await print('"}');
}

function described(info: SegmentInfo, holder: Holder | undefined): object {
  if (holder === undefined) return record(info, holder);
  return { ...record(info, holder), holder: holder.held === false ? null : holderFields(holder) };
}

async function describe(info: SegmentInfo, holder: Holder | undefined, place: PlaceOptions): Promise<string> {
  const rows: [string, string][] = [["path", quote(info.path)]];
  if (info.size > 0) rows.push(["size", info.size < 1024 ? size(info.size) : `${size(info.size)} (${info.size} bytes)`]);
  rows.push(["state", `${stateOf(info)}${meaning(info)}`]);
  rows.push(...info.attached.map((process): [string, string] => ["attached", who(process)]));
  if (info.kind === "memory") rows.push(["revision", `${info.revision}`], ["lock", lockText(info.lockOwner)]);
  if (info.value !== undefined) rows.push(...valueRows(info.value));
  if (info.semaphore !== undefined) {
    rows.push(["permits", permits(info.semaphore)], ["at most", `${info.semaphore.max}`]);
  }
  rows.push(...(await preview(info, place)));
  if (holder !== undefined) rows.push(["guard", guardText(holder)], ...holderRows(holder));
  const messages = pending(info);
  if (messages !== undefined) rows.push(["messages", messages]);
  const labelled = rows.map(([label, value], i) => `  ${(label === rows[i - 1]?.[0] ? "" : label).padEnd(LABEL)}${value}`);
  return [nameOf(info), ...labelled].join("\n");
}

const LABEL = 11;

function meaning({ state, persistent, attached }: SegmentInfo): string {
  const used = attached.length > 0;
  switch (state) {
    case "live":
      return "";
    case "dead":
      return persistent ? ": nobody is attached, it is kept" : ": nobody is attached, the next create or attach reclaims it";
    case "foreign":
      return `: made by another version, or no segment at all${used ? "; in use" : ""}`;
    case "corrupt":
      return `: its control block is damaged${used ? "; in use" : ""}`;
  }
}

function lockText(owner: ProcessInfo | undefined): string {
  if (owner === undefined) return "free";
  return owner.alive ? `held by ${who(owner)}` : "its owner died: the next one gets it at once, and is told";
}

function valueRows({ revision, size: length, maxSize, codec, writer }: ValueInfo): [string, string][] {
  return [
    ["value", revision === 0 ? "never set" : size(length)],
    ["at most", size(maxSize)],
    ["codec", quote(codec)],
    ["revision", `${revision}`],
    ...(writer === undefined ? [] : [["writer", writer.alive ? who(writer) : "one that has ended"] as [string, string]]),
  ];
}

function guardText({ held, info, pid }: Holder): string {
  return held === false ? "free" : held === undefined ? "not known" : `held by ${who(info, pid)}`;
}

const PREVIEW = 64;
/** Longer text of a value is cut. */
const LONGEST_TEXT = 200;

/** How the contents begin: as text if that is what they are, else as the first rows of a dump. */
async function preview(info: SegmentInfo, place: PlaceOptions): Promise<[string, string][]> {
  using contents = await Contents.open(info, place);
  if (contents === undefined) return [];
  const all = contents.size <= LARGEST_VALUE && info.value ? decode(info.value.codec, contents.read(0, contents.size)) : undefined;
  if (all !== undefined) {
    const text = cut(all.text, LONGEST_TEXT);
    const more = text === all.text ? [] : [["contents", `… --raw shows all ${contents.size} bytes`] as [string, string]];
    return [["contents", text], ...more];
  }
  const bytes = contents.read(0, Math.min(PREVIEW, contents.size));
  const isCut = contents.size > PREVIEW;
  const more = isCut ? [["contents", `… --hex shows all ${contents.size} bytes`] as [string, string]] : [];
  const text = asText(bytes, isCut);
  if (text !== undefined) return [["contents", toJson(text)], ...more];
  const rows: [string, string][] = [];
  for (let at = 0; at < bytes.length; at += 16) rows.push(["contents", row(at, bytes.subarray(at, at + 16))]);
  return [...rows, ...more];
}

/** Printable text, with nothing but zeros behind it. */
function asText(bytes: Uint8Array, isCut: boolean): string | undefined {
  const end = bytes.findLastIndex((byte) => byte !== 0) + 1;
  try {
    // A character that is cut in two at the end of what was read is no mistake.
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes.subarray(0, end), {
      stream: isCut && end === bytes.length,
    });
    return text === "" || /[^\P{C}\n\r\t]|[\p{Zl}\p{Zp}]/u.test(text) ? undefined : text;
  } catch {
    return undefined;
  }
}
