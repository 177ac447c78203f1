/** What users take today to pass something to another process: a Unix socket of `node:net`, in every runtime. */

import { once } from "node:events";
import { createConnection, createServer, type Socket } from "node:net";
import process from "node:process";
import type { Exchange, Mechanism } from "./pairs.ts";

const path = (name: string) => `${process.env.QSHM_DIRECTORY}/${name}.socket`;

/** Collects messages of `size` bytes; calls `take` with each, whole. */
export function receive(socket: Socket, size: number, take: (bytes: Uint8Array) => void): void {
  let parts: Uint8Array[] = [];
  let length = 0;
  socket.on("data", (part: Uint8Array) => {
    parts.push(part);
    length += part.length;
    if (length < size) return;
    take(parts.length === 1 ? part : Buffer.concat(parts, length));
    parts = [];
    length = 0;
  });
}

/** Connects to a socket of that name. */
export async function connect(name: string): Promise<Socket> {
  const socket = createConnection(path(name));
  await once(socket, "connect");
  return socket;
}

/** Sends `size` bytes and waits for one byte; the other one answers when it has all. */
export function overSocket(name: string, size: number): Mechanism {
  return {
    async ping(): Promise<Exchange> {
      const socket = await connect(name);
      const message = new Uint8Array(size).fill(7);
      let answered: () => void;
      receive(socket, 1, () => answered());
      return () => {
        const { promise, resolve } = Promise.withResolvers<void>();
        answered = resolve;
        socket.write(message);
        return promise;
      };
    },
    async pong(): Promise<void> {
      const answer = new Uint8Array(1);
      const server = createServer((socket) => receive(socket, size, () => socket.write(answer)));
      await once(server.listen(path(name)), "listening");
    },
  };
}
