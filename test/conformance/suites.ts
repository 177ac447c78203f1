/** All suites. Imported statically: dynamic imports would need a permission in Deno. */

import type { Suite } from "./case.ts";
import { lifetime } from "./cases/lifetime.ts";

export const suites: readonly Suite[] = [lifetime];
