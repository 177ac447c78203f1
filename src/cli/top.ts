/**
 * `qshm top`: all segments, live.
 *
 * @module
 */

import { exitAtOnce } from "../command.ts";
import { type Arguments, type Command, COMMON, COMMON_HELP, placeOf, readArguments, seconds, times } from "./command.ts";
import { directoryOf } from "./directory.ts";
import { onEnding } from "./ending.ts";
import { EXIT, UsageError } from "./exit_codes.ts";
import { writeUnless } from "./output.ts";
import { pause } from "./pause.ts";
import { record } from "./segment_text.ts";
import { quote, time, toJson } from "./text.ts";
import { type Sampled, Sampler } from "./top/sample.ts";
import { Screen } from "./top/screen.ts";
import { fittingLines, lines } from "./top/view.ts";

const OPTIONS = { ...COMMON, interval: { type: "string" }, count: { type: "string" } } as const;

const SHORTEST_INTERVAL = 100;
const LONGEST_INTERVAL = 24 * 60 * 60 * 1000;
const END_KEYS = ["q", "Q", "\x03"]; // Ctrl-C

/** `qshm top`. */
export const top: Command = {
  summary: "show all segments, live",
  help: `Usage: qshm top [OPTION...]

Shows all segments of the directory, once a second: who is attached, who has the lock of a memory, how many wait in an event
loop, how often they change, how values and semaphores stand, and how many messages wait for the holder of a guard or are
being handled. Those in use come first. Changes nothing, and attaches to nothing. On a terminal it takes the whole screen
until q or Ctrl-C is pressed; else it prints one table after the other.

A "?" is a process that cannot be seen from here. CHANGES/S is known from the second look on.

  --interval=S      seconds between two looks, 0.1 or more (default: 1)
  --count=N         end after N looks
${COMMON_HELP}

With --json a line for each look: {"time", "segments"}; a segment is as qshm list has it, without "held", and with
"changesPerSecond", which is null where it is not known yet.

Exit status: 0; 64 wrong usage; 77 no permission.`,

  async run({ text }: Arguments): Promise<number> {
    const { values } = readArguments(text, OPTIONS, []);
    const count = times("--count", values.count);
    const interval = values.interval === undefined ? 1000 : intervalOf(values.interval);
    const sampler = new Sampler(placeOf(values.directory));
    const ending = new AbortController();
    const { signal } = ending;
    await onEnding(() => ending.abort());
    const directory = quote((await directoryOf(values.directory)).path);
    await follow(sampler, { json: values.json === true, count, interval, directory, ending });
    if (signal.aborted) exitAtOnce(EXIT.ok); // a write that nobody takes may be on its way
    return EXIT.ok;
  },
};

interface Options {
  readonly json: boolean;
  readonly count: number;
  readonly interval: number;
  readonly directory: string;
  /** Aborted to end it. */
  readonly ending: AbortController;
}

async function follow(sampler: Sampler, { json, count, interval, directory, ending }: Options): Promise<void> {
  const { signal } = ending;
  let redraw = new AbortController();
  using screen = json ? undefined : await Screen.open({
    key: (key) => END_KEYS.includes(key) && ending.abort(),
    redraw: () => redraw.abort(),
  });
  for (let left = count; left > 0; left--) {
    const due = performance.now() + interval;
    const look: Look = { at: new Date(), segments: sampler.sample() };
    do {
      redraw = new AbortController();
      const bytes = json ? jsonLine(look) : screen === undefined ? tableOf(look, directory) : picture(look, directory, screen);
      if (!(await writeUnless(signal, bytes))) return;
      if (screen === undefined && left === 1) return;
      await pause(due - performance.now(), AbortSignal.any([signal, redraw.signal]));
      if (signal.aborted) return;
    } while (redraw.signal.aborted);
  }
}

/** What was seen, and when. */
interface Look {
  readonly at: Date;
  readonly segments: readonly Sampled[];
}

const encoder = new TextEncoder();

function jsonLine({ at, segments }: Look): Uint8Array {
  const records = segments.map(({ info, rate }) => ({ ...record(info, undefined), changesPerSecond: rate ?? null }));
  return encoder.encode(`${toJson({ time: at, segments: records })}\n`);
}

function title({ at, segments: { length } }: Look, directory: string): string {
  return `${time(at)}  ${length} ${length === 1 ? "segment" : "segments"} in ${directory}`;
}

function tableOf(look: Look, directory: string): Uint8Array {
  return encoder.encode(`${[title(look, directory), ...lines(look.segments)].join("\n")}\n\n`);
}

function picture(look: Look, directory: string, screen: Screen): Uint8Array {
  return screen.picture(fittingLines(`${title(look, directory)}; q ends`, look.segments, screen.size));
}

function intervalOf(text: string): number {
  const ms = seconds("--interval", text);
  if (ms < SHORTEST_INTERVAL || ms > LONGEST_INTERVAL) throw new UsageError(`--interval must be 0.1 to 86400: got ${text}`);
  return ms;
}
