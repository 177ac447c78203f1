/** What a row of the table is, and what a file in `rows/` provides. */

import type { RuntimeName } from "../support/runtimes.ts";

/** Something that is repeated and timed: `js.` in the runtime under test, `c.` in C, others by their file. No spaces. */
export type SubjectName = string;

/** Samples in nanoseconds an operation. The n-th samples of all subjects were taken next to each other. */
export type Samples = ReadonlyMap<SubjectName, readonly number[]>;

/** A number for each runtime, or one for all. */
export type PerRuntime = number | Readonly<Record<RuntimeName, number>>;

/** What a row is to reach. */
export type Target =
  /** Our time, in nanoseconds. */
  | { readonly atMost: PerRuntime }
  /** Our time over the rival's. */
  | { readonly ratioAtMost: PerRuntime }
  /** The rival's time over ours. */
  | { readonly fasterBy: PerRuntime };

/** One line of the table. */
export interface Row {
  readonly name: string;
  readonly ours: SubjectName;
  /** None: only an absolute target. A number: a documented constant, in nanoseconds. */
  readonly rival?: SubjectName | number;
  /** None: for information. */
  readonly target?: Target;
  /** Default: all. */
  readonly runtimes?: readonly RuntimeName[];
}

/** Code that is timed: does its operation `count` times. If not all of its time counts, it gives the nanoseconds itself. */
export type Case = (count: number) => void | number | Promise<void | number>;

/** Prepares a case, in the process that is to run it. */
export type CaseFactory = () => Case | Promise<Case>;

/** Where and how thoroughly to measure. */
export interface Plan {
  readonly runtime: RuntimeName;
  readonly subjects: readonly SubjectName[];
  /** Fresh processes for each subject. */
  readonly rounds: number;
  /** Samples of each subject in each round. */
  readonly batches: number;
  /** QSHM_DIRECTORY: a fresh, empty directory in memory. */
  readonly directory: string;
  /** The compiled `rivals.c` and `partners.c`. */
  readonly rivals: string;
  /** The package's module as it is shipped for this runtime. */
  readonly shipped: string;
}

/** Rows that are measured together, in turn. */
export interface Group {
  readonly name: string;
  readonly rows: readonly Row[];
  measure(plan: Plan): Promise<Samples>;
}

/** The number for one runtime. */
export function numberFor(runtime: RuntimeName, numbers: PerRuntime): number {
  return typeof numbers === "number" ? numbers : numbers[runtime];
}
