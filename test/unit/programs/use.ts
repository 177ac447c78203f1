/** Uses the library once, and prints what came of it as one line of JSON. */

import { LibraryError, QshmError, SharedMemory, UnsupportedPlatformError } from "../../../mod.ts";

const [key = "use", member] = process.argv.slice(2);

function report(): object {
  try {
    using memory = SharedMemory.create(key, 8);
    if (member === "data") memory.data.fill(1);
    return { ok: true, path: memory.path };
  } catch (error) {
    const { name, message, code, operation } = error as QshmError;
    const classes = [QshmError, LibraryError, UnsupportedPlatformError].filter((Class) => error instanceof Class);
    return { ok: false, name, message, code, operation, classes: classes.map((Class) => Class.name) };
  }
}

console.log(JSON.stringify(report()));
