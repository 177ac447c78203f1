/**
 * What exists at a moment, and how fast it changes.
 *
 * @module
 */

import { list, type PlaceOptions, type SegmentInfo } from "../../../mod.ts";

/** A segment, and its changes per second since the last look; `undefined`: it was not there, or is another one now. */
export interface Sampled {
  readonly info: SegmentInfo;
  readonly rate: number | undefined;
}

/** Revisions wrap here. */
const REVISIONS = 2 ** 31;

/** Looks at all segments, again and again. */
export class Sampler {
  readonly #place: PlaceOptions;
  #last = new Map<string, number>();
  #lastAt = 0;

  constructor(place: PlaceOptions) {
    this.#place = place;
  }

  /** Looks: those that live come first, then by kind and key. */
  sample(): Sampled[] {
    const segments = list(this.#place);
    const now = performance.now();
    const passed = (now - this.#lastAt) / 1000;
    const sampled = segments.map((info) => ({ info, rate: this.#rate(info, passed) }));
    this.#last = new Map(segments.map(({ path, revision }) => [path, revision]));
    this.#lastAt = now;
    return [...sampled.filter(isLive), ...sampled.filter((one) => !isLive(one))];
  }

  #rate({ path, revision }: SegmentInfo, passed: number): number | undefined {
    const last = this.#last.get(path);
    if (last === undefined) return undefined;
    const changes = (revision - last + REVISIONS) % REVISIONS;
    // Half of all revisions is more than there can be: it went back, so it is another segment of that name.
    return changes < REVISIONS / 2 ? changes / passed : undefined;
  }
}

function isLive({ info }: Sampled): boolean {
  return info.state === "live";
}
