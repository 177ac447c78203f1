import type { Command } from "./command.ts";
export const show: Command = { summary: "", help: "", run: () => 0 };
