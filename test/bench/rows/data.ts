/** Element access through `data`, against the same loop over an array on the heap: 64 KiB, every element once. */

import { SharedMemory } from "../../../mod.ts";
import { interleave } from "../pairing.ts";
import type { Case, CaseFactory, Group } from "../row.ts";

const SIZE = 1 << 16;

type Elements = Uint8Array<ArrayBuffer> | Int32Array<ArrayBuffer>;

let made = 0;

/**
 * A case from the text of its loop's body. Every subject has a text of its own, because the runtimes' compilers share
 * among equal ones what they learn about arrays: two element types, or two kinds of memory, would slow each other down.
 */
function loop(array: Elements, body: string): Case {
  const source = `/* ${++made} */ let sum = 0;
    for (let n = 0; n < count; n++) for (let i = 0; i < array.length; i++) ${body};
    return sum;`;
  const run = new Function("array", "count", source);
  return (count) => void run(array, count);
}

const reader = (array: Elements) => loop(array, "sum = (sum + array[i]) | 0");
const writer = (array: Elements) => loop(array, "array[i] = i ^ n");

const bytes = () => SharedMemory.open("data", SIZE).data;
const words = () => new Int32Array(bytes().buffer);

/** See {@linkcode CaseFactory}. */
export const cases: Readonly<Record<string, CaseFactory>> = {
  "js.data.u8.get": () => reader(bytes()),
  "js.heap.u8.get": () => reader(new Uint8Array(SIZE)),
  "js.data.u8.set": () => writer(bytes()),
  "js.heap.u8.set": () => writer(new Uint8Array(SIZE)),
  "js.data.i32.get": () => reader(words()),
  "js.heap.i32.get": () => reader(new Int32Array(SIZE / 4)),
  "js.data.i32.set": () => writer(words()),
  "js.heap.i32.set": () => writer(new Int32Array(SIZE / 4)),
};

const target = { ratioAtMost: 1.1 };

/** See {@linkcode Group}. */
export const dataGroup: Group = {
  name: "data, 64 KiB",
  rows: [
    { name: "Uint8Array get / heap array", ours: "js.data.u8.get", rival: "js.heap.u8.get", target },
    { name: "Uint8Array set / heap array", ours: "js.data.u8.set", rival: "js.heap.u8.set", target },
    { name: "Int32Array get / heap array", ours: "js.data.i32.get", rival: "js.heap.i32.get", target },
    { name: "Int32Array set / heap array", ours: "js.data.i32.set", rival: "js.heap.i32.set", target },
  ],
  measure: (plan) => interleave("data", plan),
};
