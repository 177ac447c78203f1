import type { Suite } from "../case.ts";
export const guardWaits: Suite = { name: "guard waits", cases: [] };
