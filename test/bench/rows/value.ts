/**
 * A value that is set and read, in one process. The rival is what a program does so that nobody sees half of a file: write
 * another one, and rename it. Both are in memory.
 */

import { readFileSync, renameSync, writeFileSync } from "node:fs";
import process from "node:process";
import { bytes, SharedValue } from "../../../mod.ts";
import { interleave } from "../pairing.ts";
import type { CaseFactory, Group } from "../row.ts";

const SIZES = { "64 B": 64, "4 KiB": 4096, "1 MiB": 1 << 20 } as const;

const content = (size: number) => new Uint8Array(size).fill(7);

function open(size: number): SharedValue<Uint8Array> {
  return SharedValue.open(`value-${size}`, { codec: bytes, maxSize: size });
}

const path = (size: number) => `${process.env.QSHM_DIRECTORY}/file-${size}`;

function writeFile(size: number, value: Uint8Array): void {
  writeFileSync(`${path(size)}.new`, value);
  renameSync(`${path(size)}.new`, path(size));
}

function casesFor(size: number): Readonly<Record<string, CaseFactory>> {
  return {
    [`js.set.${size}`]: () => {
      const value = open(size);
      const source = content(size);
      return (count) => {
        for (let i = 0; i < count; i++) value.set(source);
      };
    },
    [`js.get.${size}`]: () => {
      const value = open(size);
      value.set(content(size));
      return (count) => {
        for (let i = 0; i < count; i++) value.get();
      };
    },
    [`js.writeFile.${size}`]: () => {
      const source = content(size);
      return (count) => {
        for (let i = 0; i < count; i++) writeFile(size, source);
      };
    },
    [`js.readFile.${size}`]: () => {
      writeFile(size, content(size));
      return (count) => {
        for (let i = 0; i < count; i++) readFileSync(path(size));
      };
    },
  };
}

/** See {@linkcode CaseFactory}. */
export const cases: Readonly<Record<string, CaseFactory>> = Object.assign({}, ...Object.values(SIZES).map(casesFor));

/** See {@linkcode Group}. */
export const valueGroup: Group = {
  name: "SharedValue",
  rows: Object.entries(SIZES).flatMap(([name, size]) => [
    { name: `${name} set / write a file and rename it`, ours: `js.set.${size}`, rival: `js.writeFile.${size}` },
    { name: `${name} get / read a file`, ours: `js.get.${size}`, rival: `js.readFile.${size}` },
  ]),
  measure: (plan) => interleave("value", plan),
};
