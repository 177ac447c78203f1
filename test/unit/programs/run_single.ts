/** A program of which one runs: says so and ends with 9; a later start hands its arguments to the first. */

import { runSingleInstance } from "../../../mod.ts";

const [name = ""] = process.argv.slice(2);
const end = (code: number): void => void (process.exitCode = code);

await runSingleInstance(name, {
  main: () => {
    console.log("main runs");
    return 9;
  },
  onRequest: () => {},
  env: ["QSHM_TEST_RUN", "QSHM_TEST_UNSET"],
}).then(end, (error: Error & { delivered?: string }) => {
  console.log(JSON.stringify([error.name, error.message, error.delivered]));
  end(99);
});
