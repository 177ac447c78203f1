import type { Command } from "./command.ts";
export const remove: Command = { summary: "", help: "", run: () => 0 };
