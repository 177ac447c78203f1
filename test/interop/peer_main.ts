/**
 * What `qt_peer.cpp` is in C++, over `qshm/qt`, in any runtime: the same calls in, the same answers out. A method that has
 * no entry here is the object's own.
 */

import { createInterface } from "node:readline";
import { QDataStream, QSharedMemory, QSystemSemaphore } from "../../src/qt/mod.ts";

type Methods = Record<string, (...args: never[]) => unknown>;

const objects: Methods[] = [];

function add(object: object, more: Methods): number {
  const own = new Proxy(more, {
    get: (_, name: string) => more[name] ?? ((...args: never[]) => (object as Methods)[name]!(...args)),
  });
  return objects.push(own) - 1;
}

function sharedMemory(key: string | null): number {
  const memory = new QSharedMemory(key ?? "");
  const bytes = (offset: number, length: number): Uint8Array => {
    const data = memory.data();
    if (data === null || offset + length > data.length) throw new RangeError("not attached, or beyond the end");
    return data.subarray(offset, offset + length);
  };
  return add(memory, {
    delete: () => memory[Symbol.dispose](),
    hasData: () => memory.data() !== null,
    read: (offset: number, length: number) => Buffer.from(bytes(offset, length)).toString("hex"),
    write: (offset: number, hex: string) => bytes(offset, hex.length / 2).set(Buffer.from(hex, "hex")),
    readString: (version: number) => {
      const stream = new QDataStream(memory.constData()!);
      stream.setVersion(version);
      const text = stream.readQString();
      if (stream.status() !== QDataStream.Ok) throw new Error(`status ${stream.status()}`);
      return text;
    },
    writeString: (version: number, text: string | null) => {
      const stream = new QDataStream();
      stream.setVersion(version);
      stream.writeQString(text);
      const written = stream.bytes();
      if (written.length > memory.size()) return false;
      memory.data()!.set(written);
      return true;
    },
    count: (times: number) => {
      const word = new Uint32Array(memory.data()!.buffer, 0, 1);
      for (let i = 0; i < times; i++) {
        if (!memory.lock()) return i;
        word[0] = word[0]! + 1;
        if (!memory.unlock()) return i;
      }
      return times;
    },
  });
}

function systemSemaphore(key: string, initial = 0, mode = QSystemSemaphore.Open): number {
  const semaphore = new QSystemSemaphore(key, initial, mode);
  return add(semaphore, { delete: () => semaphore[Symbol.dispose]() });
}

add(process, {
  "new QSharedMemory": sharedMemory,
  "new QSystemSemaphore": systemSemaphore,
  remove: (key: string, force: boolean) => QSharedMemory.remove(key, { force }),
} as Methods);

const say = (message: object): void => void process.stdout.write(`${JSON.stringify(message)}\n`);

interface Order {
  readonly id: number;
  readonly object: number;
  readonly method: string;
  readonly arguments: never[];
}

async function obey({ id, object, method, arguments: args }: Order): Promise<void> {
  try {
    say({ id, value: (await objects[object]![method]!(...args)) ?? null });
  } catch (error) {
    const { name, message, stack } = error as Error;
    say({ id, error: { name, message, stack } });
  }
}

say({ id: 0, value: process.pid });
createInterface({ input: process.stdin }).on("line", (line) => void obey(JSON.parse(line)));
