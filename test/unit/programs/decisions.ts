/** Makes the library decide things, for its trace: creates, finds a dead segment, takes a lock away, removes. */

import { copyFileSync } from "node:fs";
import { SharedMemory } from "../../../mod.ts";

const memory = SharedMemory.create("trace", 1);
copyFileSync(memory.path, memory.path.replace(/trace$/, "dead"));
SharedMemory.open("dead", 1).detach();
memory.lockSync();
memory.forceUnlock();
memory.detach();
