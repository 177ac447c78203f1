import { defineConfig } from "vitest/config";
import LongestFirst from "./support/sequencer.ts";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // Watchdogs only: nothing asserts that something is fast.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    pool: "forks",
    // Two at a time: the tests start many processes of their own.
    maxWorkers: 2,
    sequence: { sequencer: LongestFirst },
    reporters: ["default", "./test/support/reporter.ts"],
  },
});
