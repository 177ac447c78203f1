/** `dataChanged`: by a bell among programs of this package, by comparison where nobody rings. */

import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { QSharedMemory } from "../../../src/qt/mod.ts";
import { freshKey, type Suite } from "../case.ts";
import { microtasks, until, watch } from "../helpers.ts";
import { startPeers } from "../peers.ts";

const MODULE = new URL("../../../src/qt/mod.ts", import.meta.url).href;

/** A writer and a reader in this process. */
function pair(size = 8): Disposable & { writer: QSharedMemory; reader: QSharedMemory } {
  const key = freshKey();
  const [writer, reader] = [new QSharedMemory(key), new QSharedMemory(key)];
  assert.ok(writer.create(size) && reader.attach(), reader.errorString());
  return {
    writer,
    reader,
    [Symbol.dispose]() {
      reader[Symbol.dispose]();
      writer[Symbol.dispose]();
    },
  };
}

export const qtChanges: Suite = {
  name: "qt: changes",
  cases: [
    {
      name: "a bell tells of write(), writeStream() and unlock() by processes in every runtime; nothing is compared by time",
      needs: "system",
      async run() {
        using reader = new QSharedMemory(freshKey());
        assert.ok(reader.create(64));
        await using all = await startPeers();
        for (const peer of all.peers) {
          await peer.run(async (_api, state, { module, key }) => {
            const { QSharedMemory } = await import(module);
            state.memory = new QSharedMemory(key);
            if (!state.memory.attach()) throw new Error(state.memory.errorString());
          }, { module: MODULE, key: reader.key() });
          const changes = reader.dataChanged({ interval: Infinity });
          let next = changes.next();
          await peer.run((_api, { memory }) => memory.write(Uint8Array.of(memory.read(0, 1)[0] + 1)));
          assert.equal((await next).done, false);
          next = changes.next();
          await peer.run((_api, { memory }) => {
            memory.lock();
            const data = memory.data();
            data[9] = data[9] + 1;
            memory.unlock();
          });
          assert.equal((await next).done, false);
          next = changes.next();
          await peer.run((_api, { memory }, text) => memory.writeStream((stream: { writeQString(text: string): void }) => stream.writeQString(text)), peer.runtime);
          assert.equal((await next).done, false);
          assert.equal(reader.readStream((stream) => stream.readQString()), peer.runtime);
          await changes.return!();
          await peer.run((_api, { memory }) => memory.detach());
        }
      },
    },
    {
      name: "what was written without telling anybody is seen by comparing",
      needs: "view",
      async run() {
        using place = pair();
        const changes = place.reader.dataChanged({ interval: 1 });
        const next = watch(changes.next());
        place.writer.data()![5] = 1;
        await until(() => next.state === "fulfilled", "the comparison");
        assert.equal(place.reader.read(5, 1)[0], 1);
        await changes.return!();
      },
    },
    {
      name: "is not told when the bytes are the same, nor of what was there before",
      async run() {
        using place = pair();
        place.writer.write(Uint8Array.of(1));
        const changes = place.reader.dataChanged({ interval: 1 });
        const next = watch(changes.next());
        for (let i = 0; i < 5; i++) {
          place.writer.write(Uint8Array.of(1));
          place.writer.lock();
          place.writer.unlock();
          await pause(2); // what must not happen has time to
        }
        assert.equal(next.state, "pending");
        place.writer.write(Uint8Array.of(2));
        await until(() => next.state === "fulfilled", "a change");
        await changes.return!();
      },
    },
    {
      name: "several changes may be seen as one, and the last is never missed",
      async run() {
        using place = pair();
        let seen = 0;
        const reading = (async () => {
          for await (const _ of place.reader.dataChanged({ interval: Infinity })) {
            seen = new DataView(place.reader.read().buffer).getUint32(0, true);
            if (seen === 1000) break;
          }
        })();
        for (let i = 1; i <= 1000; i++) {
          place.writer.write(new Uint8Array(Uint32Array.of(i).buffer));
          if (i % 10 === 0) await pause(0);
        }
        await reading;
        assert.equal(seen, 1000);
      },
    },
    {
      name: "ends when the loop is left, the signal aborts, or the object detaches",
      async run() {
        using place = pair();
        for (const way of ["return", "abort", "detach", "dispose"]) {
          const aborting = new AbortController();
          const changes = place.reader.dataChanged({ signal: aborting.signal });
          const next = changes.next();
          await microtasks();
          if (way === "return") await changes.return!();
          else if (way === "abort") aborting.abort();
          else if (way === "detach") place.reader.detach();
          else place.reader[Symbol.dispose]();
          assert.deepEqual(await next, { done: true, value: undefined }, way);
          assert.deepEqual(await changes.next(), { done: true, value: undefined }, way);
          if (!place.reader.isAttached()) assert.ok(place.reader.attach(), place.reader.errorString());
        }
        const aborted = place.reader.dataChanged({ signal: AbortSignal.abort() });
        assert.equal((await aborted.next()).done, true);
      },
    },
    {
      name: "listeners are called at each change, once, until removed, or until their signal aborts; across attachments",
      async run() {
        using place = pair();
        const { writer, reader } = place;
        const called: string[] = [];
        const always = (event: Event): void => void called.push(event.type);
        const onceOnly = (): void => void called.push("once");
        const aborting = new AbortController();
        reader.addEventListener("dataChanged", always);
        reader.addEventListener("dataChanged", onceOnly, { once: true });
        reader.addEventListener("dataChanged", () => called.push("signal"), { signal: aborting.signal });
        writer.write(Uint8Array.of(1));
        await until(() => called.length === 3, "the first change");
        assert.deepEqual(called.splice(0), ["dataChanged", "once", "signal"]);
        aborting.abort();
        writer.write(Uint8Array.of(2));
        await until(() => called.length >= 1, "the second change");
        assert.deepEqual(called.splice(0), ["dataChanged"]);
        assert.ok(reader.detach() && reader.attach());
        writer.write(Uint8Array.of(3));
        await until(() => called.length >= 1, "a change after attaching again");
        assert.deepEqual(called.splice(0), ["dataChanged"]);
        reader.removeEventListener("dataChanged", always);
        writer.write(Uint8Array.of(4));
        await pause(5); // what must not happen has time to
        assert.deepEqual(called, []);
      },
    },
    {
      name: "a listener that is added before attach() is told from then on",
      async run() {
        using writer = new QSharedMemory(freshKey());
        using reader = new QSharedMemory(writer.key());
        let called = 0;
        reader.addEventListener("dataChanged", () => called++);
        assert.ok(writer.create(4) && reader.attach());
        writer.write(Uint8Array.of(1));
        await until(() => called === 1, "the change");
      },
    },
  ],
};
