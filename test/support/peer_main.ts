/**
 * A process that does what a test tells it, in any runtime: each line on stdin is a function's source with its
 * argument, each line on stdout the answer. Functions get the module under test, and a state that lasts.
 */

import { createInterface } from "node:readline";
import * as qshm from "../../mod.ts";

interface Order {
  readonly id: number;
  readonly source: string;
  readonly argument: unknown;
}

const state: Record<string, unknown> = {};
const write = (message: object): void => void process.stdout.write(`${JSON.stringify(message)}\n`);

async function obey({ id, source, argument }: Order): Promise<void> {
  try {
    const f = new Function(`return (${source})`)();
    write({ id, value: (await f(qshm, state, argument)) ?? null });
  } catch (error) {
    const { name, message, code, pid, stack } = error as Error & { code?: unknown; pid?: unknown };
    write({ id, error: { name, message, code, pid, stack } });
  }
}

write({ id: 0, value: process.pid });
createInterface({ input: process.stdin }).on("line", (line) => void obey(JSON.parse(line)));
