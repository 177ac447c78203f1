/** Waits for the lock, and says how its owner ended. */

import { SharedMemory } from "../../mod.ts";

using memory = SharedMemory.open("MyLock", 16);
console.log(`waits for process ${memory.lockOwner?.pid}`);
using lock = await memory.lock();
console.log(`has the lock, ownerDied: ${lock.ownerDied}`);
