/**
 * `qshm watch`: each change of a segment, as it happens.
 *
 * @module
 */

import { inspect, NotFoundError, type PlaceOptions } from "../../mod.ts";
import { exitAtOnce, type Stand, type Watchable, Watched } from "../command.ts";
import { type Arguments, type Command, COMMON, COMMON_HELP, placeOf, readArguments, times } from "./command.ts";
import { onEnding } from "./ending.ts";
import { EXIT, UsageError } from "./exit_codes.ts";
import { writeUnless } from "./output.ts";
import { pause } from "./pause.ts";
import { find, nameOf, SEGMENT_NAME, SEGMENT_NAME_HELP } from "./segment_name.ts";
import { unrunnable } from "./unrunnable.ts";
import { LARGEST_VALUE } from "./value_text.ts";
import { type Change, CHANGE_HELP, changeJson, changeLine } from "./watch/report.ts";
import { Runner, UnrunnableError } from "./watch/runner.ts";

const OPTIONS = {
  ...COMMON,
  initial: { type: "boolean" },
  wait: { type: "boolean" },
  count: { type: "string" },
} as const;

/** ms between two looks for a segment that is not there yet. */
const LOOK_INTERVAL = 100;

/** `qshm watch`. */
export const watch: Command = {
  summary: "print a line, or run a command, at each change",
  help: `Usage: qshm watch [OPTION...] ${SEGMENT_NAME} [-- COMMAND [ARG...]]

Prints a line for each change of a memory, a value or a semaphore: the time, the revision, and of a value what it is now,
or its size; of a semaphore the permits that are free. Several changes at once may be seen as one, and the last is never
missed. It sleeps until a change is announced; permits taken that were free, and the death of their holder, are not, and are
seen within half a second.

With COMMAND it prints nothing, and runs COMMAND at each change, never two at once: changes during a run cause exactly one
more run. COMMAND's status does not matter. Its arguments reach it byte for byte, its environment has QSHM_KIND, QSHM_KEY
and QSHM_REVISION as well.

While it watches it is attached: the segment stays when all others have gone, and it goes on watching; nobody can create
another one of that name. It ends at SIGINT, SIGTERM or SIGHUP, which COMMAND gets as well, once COMMAND has ended; when
nobody reads its output any more; and when the segment is removed by force.

${SEGMENT_NAME_HELP}

  --initial         begin with what is there now
  --wait            wait until there is such a segment, and begin with what is there
  --count=N         end after N changes
${COMMON_HELP}

With --json a line for each change: ${CHANGE_HELP}

Exit status: 0; 64 wrong usage; 69 there is no such segment, or it was removed; 77 no permission; 126 COMMAND cannot be run;
127 COMMAND is not found.`,

  async run(args: Arguments): Promise<number> {
    const { values, name, command } = read(args);
    const count = times("--count", values.count);
    const place = placeOf(values.directory);
    const ending = new AbortController();
    const { signal } = ending;
    const runner = command.length === 0 ? undefined : new Runner(command);
    await onEnding((how) => {
      ending.abort();
      void runner?.pass(how);
    });
    try {
      const segment = values.wait === true ? await attachOnceThere(name, place, signal) : attach(name, place);
      using _watched = segment.watched;
      const report = runner === undefined ? printer(segment, values.json === true, signal) : running(segment, runner);
      await follow(segment, { report, count, initial: (values.initial ?? values.wait) === true, signal });
    } catch (error) {
      if (error instanceof UnrunnableError) return unrunnable(command[0]!, error.isMissing, error.message);
      if (!signal.aborted) throw error;
    }
    if (signal.aborted) exitAtOnce(EXIT.ok); // a write that nobody takes may be on its way
    return EXIT.ok;
  },
};

/** Options and the name stand before "--", COMMAND behind it. */
function read({ text, bytes }: Arguments) {
  const end = text.includes("--") ? text.indexOf("--") : text.length;
  const { values, operands } = readArguments(text.slice(0, end), OPTIONS, [SEGMENT_NAME]);
  const command = bytes.slice(end + 1);
  if (end < text.length && command.length === 0) throw new UsageError('COMMAND is missing behind "--"');
  if (command.length > 0 && values.json === true) throw new UsageError("--json does not go with COMMAND");
  return { values, name: operands[0]!, command };
}

/** What is watched. */
interface Segment {
  readonly kind: Watchable;
  readonly key: string;
  /** Of a value. */
  readonly codec: string;
  readonly watched: Watched;
}

/** Attaches to what is named, as soon as it is there. */
async function attachOnceThere(name: string, place: PlaceOptions, signal: AbortSignal): Promise<Segment> {
  for (;;) {
    signal.throwIfAborted();
    try {
      return attach(name, place);
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw error;
    }
    await pause(LOOK_INTERVAL, signal);
  }
}

function attach(name: string, place: PlaceOptions): Segment {
  const info = find(name, place);
  const { kind, key, state, persistent } = info;
  if (kind === "instance") {
    throw new UsageError(`${nameOf(info)} is a guard, which does not change: see qshm status, or qshm run --wait`);
  }
  // To attach to what is dead would remove it, and with it the news that its last user crashed.
  if (state !== "live" && !(state === "dead" && persistent)) {
    throw gone(info, `${nameOf(info)} cannot be watched: it is ${state}`);
  }
  const watched = new Watched(kind, key, place);
  return { kind, key, codec: inspect(kind, key, place)?.value?.codec ?? "", watched };
}

function gone({ key }: { readonly key: string }, message: string): NotFoundError {
  return new NotFoundError(message, { code: "NotFound", operation: "watch", key });
}

/** Tells of where a segment stands; gives the revision that it told of, or `undefined` if nobody listens. */
type Report = (stand: Stand) => Promise<number | undefined>;

/** Reports each change. */
async function follow(
  { kind, key, watched }: Segment,
  { report, count, initial, signal }: {
    readonly report: Report;
    readonly count: number;
    readonly initial: boolean;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  let seen = initial ? undefined : watched.stand();
  for (let left = count; left > 0;) {
    const now = seen === undefined ? watched.stand() : await watched.moved(seen, signal);
    // A value that was never set is nothing to begin with.
    const isNews = seen === undefined
      ? kind !== "value" || now.revision !== 0
      : now.revision !== seen.revision || now.available !== seen.available;
    const revision = isNews ? await report(now) : now.revision;
    if (revision === undefined) return;
    if (isNews) left--;
    seen = { ...now, revision };
    if (now.isRemoved) throw gone({ key }, `${nameOf({ kind, key })} was removed`);
  }
}

function printer(segment: Segment, json: boolean, signal: AbortSignal): Report {
  return async (stand) => {
    const change = changeOf(segment, stand);
    const line = `${json ? changeJson(change) : changeLine(change)}\n`;
    return await writeUnless(signal, new TextEncoder().encode(line)) ? change.stand.revision : undefined;
  };
}

/** A value that is read may be newer than the change that was heard of. */
function changeOf({ kind, key, codec, watched }: Segment, stand: Stand): Change {
  const change = { at: new Date(), kind, key, stand };
  if (kind === "memory") return change;
  if (kind === "semaphore") return { ...change, max: watched.permitsMax };
  const value = watched.value(LARGEST_VALUE);
  return { ...change, stand: { ...stand, revision: value.revision }, value: { ...value, codec } };
}

function running({ kind, key }: Segment, runner: Runner): Report {
  return async ({ revision }) => {
    await runner.run({ QSHM_KIND: kind, QSHM_KEY: key, QSHM_REVISION: `${revision}` });
    return revision;
  };
}
