import type { Suite } from "../case.ts";
export const guardPlaces: Suite = { name: "guard places", cases: [] };
