import type { Suite } from "../case.ts";
export const guardRecovery: Suite = { name: "guard recovery", cases: [] };
