import type { Suite } from "../case.ts";
export const guardSafety: Suite = { name: "guard safety", cases: [] };
