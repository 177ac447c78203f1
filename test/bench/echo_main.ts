/** A child process that sends back what it gets, after one byte that tells that it is there. */

import process from "node:process";

process.stdin.on("data", (bytes) => process.stdout.write(bytes));
process.stdout.write(".");
