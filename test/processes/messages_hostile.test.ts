/**
 * A process of the same user scribbles over the messages of a guard, and deletes, replaces, truncates and links the files
 * that carry them, while others send: nobody crashes, every request ends, in a reply or an error of this library, and
 * honest requests that come later are answered.
 */

import {
  existsSync,
  linkSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { describe, expect, it } from "vitest";
import { testDirectory } from "../support/directory.ts";
import { peek, poke } from "../support/kernel.ts";
import { Peer } from "../support/peer.ts";
import { printedRandom, type Random } from "../support/random.ts";
import { RUNTIMES } from "../support/runtimes.ts";

const LOAD = new URL("./messages/load.ts", import.meta.url).href;
const CASES = 10_000;
/** Between two of them the senders look at what came of it. */
const BURST = 50;
/** The table of messages in a guard's file (c/src/layout.h). */
const TABLE = { offset: 8192, count: 64, size: 64 } as const;
const FIELDS = { state: 0, sender: 4, nonce: 8, requestSize: 16, replySize: 24, sequence: 32, pid: 40 } as const;
/** Where the id of the holder stands. */
const HOLDER = 464;
const STATES = 9;
const SIZES = [0n, 1n, 4096n, 1n << 24n, (1n << 24n) + 1n, 1n << 30n, 1n << 53n, 1n << 63n, (1n << 64n) - 1n];

/** One act of the hostile process. */
class Hostile {
  readonly #directory: string;
  readonly #path: string;
  readonly #random: Random;
  readonly #kept: Uint8Array[] = [];

  constructor(directory: string, name: string, random: Random) {
    this.#directory = directory;
    this.#path = `${directory}/i-${name}`;
    this.#random = random;
  }

  act(): void {
    const random = this.#random;
    const entry = TABLE.offset + random.below(TABLE.count) * TABLE.size;
    switch (random.below(9)) {
      case 0:
        return this.#poke(entry + random.below(TABLE.size - 8), this.#bytes(1 + random.below(8)));
      case 1:
        return this.#poke(entry, this.#bytes(TABLE.size));
      case 2: // another state for the same sender
        return this.#poke(entry + FIELDS.state, Uint8Array.of(random.below(STATES + 2), 0, 0, 0));
      case 3: // a whole state, of anybody
        return this.#poke(entry, Uint8Array.of(random.below(STATES), 0, 0, 0, ...this.#bytes(4)));
      case 4: {
        const bytes = new Uint8Array(8);
        new DataView(bytes.buffer).setBigUint64(0, random.of(SIZES), true);
        return this.#poke(entry + random.of([FIELDS.requestSize, FIELDS.replySize, FIELDS.sequence]), bytes);
      }
      case 5: // an entry of before, there or elsewhere
        this.#kept.push(new Uint8Array(peek(this.#path, entry, TABLE.size).buffer));
        if (this.#kept.length > TABLE.count) this.#kept.shift();
        return this.#poke(TABLE.offset + random.below(TABLE.count) * TABLE.size, random.of(this.#kept));
      default:
        return this.#spoil();
    }
  }

  #bytes(size: number): Uint8Array {
    return Uint8Array.from({ length: size }, () => this.#random.below(256));
  }

  #poke(offset: number, bytes: Uint8Array): void {
    poke(this.#path, offset, bytes);
  }

  /** Does something to a file that carries a message. */
  #spoil(): void {
    const random = this.#random;
    const names = readdirSync(this.#directory).filter((name) => name.startsWith("r."));
    if (names.length === 0) return;
    const path = `${this.#directory}/${random.of(names)}`;
    try {
      switch (random.below(7)) {
        case 0:
          return rmSync(path);
        case 1:
          return truncateSync(path, random.below(64));
        case 2:
          return truncateSync(path, 2 ** 31 + random.below(2 ** 31));
        case 3:
          return poke(path, random.below(64), this.#bytes(16));
        case 4:
          rmSync(path);
          if (random.below(2) === 0) return symlinkSync(`${this.#directory}/nothing`, path);
          return writeFileSync(path, this.#bytes(100), { mode: 0o600 });
        case 5:
          return linkSync(path, `${this.#directory}/spoilt`);
        default:
          return renameSync(path, `${this.#directory}/${random.of(names)}`);
      }
    } catch (error) {
      if (!["ENOENT", "EEXIST"].includes((error as { code: string }).code)) throw error; // it was answered meanwhile
    } finally {
      rmSync(`${this.#directory}/spoilt`, { force: true });
    }
  }
}

describe.concurrent("hostile messages", () => {
  for (const [i, runtime] of RUNTIMES.entries()) {
    const cases = Math.ceil(CASES / RUNTIMES.length);
    it(`a holder in ${runtime} and those who send to it survive ${cases} hostile acts`, { timeout: 300_000 }, async () => {
      using directory = testDirectory();
      const options = { directory: directory.path };
      await using holder = await Peer.start(runtime, options);
      await using sender = await Peer.start(RUNTIMES[(i + 1) % RUNTIMES.length]!, options);
      await using honest = await Peer.start(RUNTIMES[(i + 2) % RUNTIMES.length]!, options);
      await holder.run(({ SingleInstance }, state) => {
        state.guard = SingleInstance.tryAcquire("hostile");
        state.guard.serve(({ data }: { data: string }) => ({ data }));
      });
      const hostile = new Hostile(directory.path, "hostile", printedRandom(`hostile, ${runtime}`));
      const total: Record<string, number> = {};
      for (let done = 0; done < cases; done += BURST) {
        await sender.call(LOAD, "begin", { name: "hostile", lanes: 4 });
        for (let n = 0; n < BURST; n++) {
          hostile.act();
          await new Promise(setImmediate);
        }
        const counts = await sender.call<Record<string, number>>(LOAD, "end");
        for (const [outcome, count] of Object.entries(counts)) total[outcome] = (total[outcome] ?? 0) + count;
        const reply = await honest.call(LOAD, "sendOne", { name: "hostile", data: "honest" });
        expect(reply, `after ${done + BURST} acts`).toBe("honest");
      }
      console.log(`hostile, ${runtime}: ${JSON.stringify(total)}`);
      expect(Object.keys(total).filter((outcome) => outcome.startsWith("untyped"))).toEqual([]);
      expect(total.answered).toBeGreaterThan(0);
      await holder.run((_api, { guard }) => guard.release());
      expect(existsSync(`${directory.path}/i-hostile`)).toBe(false);
    });

    it(`a table full of what nobody sent is no obstacle to a holder in ${runtime}`, async () => {
      using directory = testDirectory();
      const options = { directory: directory.path };
      await using holder = await Peer.start(runtime, options);
      await using honest = await Peer.start(RUNTIMES[(i + 1) % RUNTIMES.length]!, options);
      const path = `${directory.path}/i-full`;
      await holder.run(({ SingleInstance }, state) => {
        state.guard = SingleInstance.tryAcquire("full");
        state.guard.serve(({ data }: { data: string }) => ({ data }));
      });
      const senders = { nobody: 0, "one that is dead": 0x7ffffff0, "the holder": peek(path, HOLDER, 4).getUint32(0, true) };
      for (const [who, sender] of Object.entries(senders)) {
        for (let state = 0; state < STATES + 2; state++) {
          const table = new Uint32Array(TABLE.count * TABLE.size / 4);
          for (let at = 0; at < table.length; at += TABLE.size / 4) table.set([state, sender], at);
          poke(path, TABLE.offset, new Uint8Array(table.buffer));
          const reply = await honest.call(LOAD, "sendOne", { name: "full", data: "honest" }).catch(({ message }) => message);
          expect(reply, `state ${state}, from ${who}`).toBe("honest");
        }
      }
    });
  }
});
