/** All suites. Imported statically: dynamic imports would need a permission in Deno. */

import type { Suite } from "./case.ts";
import { bell } from "./cases/bells.ts";
import { changes } from "./cases/changes.ts";
import { copying } from "./cases/copying.ts";
import { dataStream } from "./cases/data_stream.ts";
import { dataView } from "./cases/data_view.ts";
import { errors } from "./cases/errors.ts";
import { forceUnlock } from "./cases/force_unlock.ts";
import { guard } from "./cases/guard.ts";
import { guardInfo } from "./cases/guard_info.ts";
import { guardPlaces } from "./cases/guard_places.ts";
import { guardRecovery } from "./cases/guard_recovery.ts";
import { guardSafety } from "./cases/guard_safety.ts";
import { guardWaits } from "./cases/guard_waits.ts";
import { inspection } from "./cases/inspect.ts";
import { keys } from "./cases/keys.ts";
import { lifetime } from "./cases/lifetime.ts";
import { lock } from "./cases/lock.ts";
import { memorySafety } from "./cases/memory_safety.ts";
import { messages } from "./cases/messages.ts";
import { options } from "./cases/options.ts";
import { qtChanges } from "./cases/qt_changes.ts";
import { qtMemory } from "./cases/qt_memory.ts";
import { qtSemaphore } from "./cases/qt_semaphore.ts";
import { runSingle } from "./cases/run_single_instance.ts";
import { semaphore } from "./cases/semaphore.ts";
import { takeover } from "./cases/takeover.ts";
import { validation } from "./cases/validation.ts";
import { value } from "./cases/value.ts";
import { waits } from "./cases/waits.ts";

export const suites: readonly Suite[] = [
  lifetime,
  dataView,
  dataStream,
  copying,
  lock,
  waits,
  forceUnlock,
  changes,
  bell,
  value,
  semaphore,
  inspection,
  keys,
  validation,
  errors,
  options,
  memorySafety,
  guard,
  guardInfo,
  guardWaits,
  guardRecovery,
  guardPlaces,
  guardSafety,
  messages,
  takeover,
  runSingle,
  qtMemory,
  qtChanges,
  qtSemaphore,
];
