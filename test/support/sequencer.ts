/** The order of the test files: those that take longest begin, so that in the end none is waited for alone. */

import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Longest first; the others follow as they come. */
const LONG = [
  "test/structure/c.test.ts",
  "test/conformance/conformance.test.ts",
  "test/platforms/arm64.test.ts",
  "test/processes/faults.test.ts",
  "test/processes/messages.test.ts",
  "test/processes/semaphore.test.ts",
  "test/processes/changes.test.ts",
  "test/processes/bells.test.ts",
  "test/processes/guard_faults.test.ts",
];

export default class extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const at = LONG.findIndex((path) => moduleId.endsWith(path));
      return at < 0 ? LONG.length : at;
    };
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
  }
}
