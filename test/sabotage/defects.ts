/** The defects: each is a mistake that one could make, or once made, with the test that must turn red. */

import type { Defect } from "./defect.ts";
import { DATA_STREAM } from "./defects/data_stream.ts";
import { GUARD } from "./defects/guard.ts";
import { LIFETIME } from "./defects/lifetime.ts";
import { LOCK } from "./defects/lock.ts";
import { MESSAGES } from "./defects/messages.ts";
import { PLATFORMS } from "./defects/platforms.ts";
import { QT } from "./defects/qt.ts";
import { SAFETY } from "./defects/safety.ts";
import { SHIPPING } from "./defects/shipping.ts";
import { WAKING } from "./defects/waking.ts";

export const DEFECTS: readonly Defect[] = [
  ...LIFETIME,
  ...LOCK,
  ...GUARD,
  ...WAKING,
  ...MESSAGES,
  ...SAFETY,
  ...DATA_STREAM,
  ...SHIPPING,
  ...QT,
  ...PLATFORMS,
];
