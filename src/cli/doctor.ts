import type { Command } from "./command.ts";
export const doctor: Command = { summary: "", help: "", run: () => 0 };
