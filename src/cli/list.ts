import type { Command } from "./command.ts";
export const list: Command = { summary: "", help: "", run: () => 0 };
