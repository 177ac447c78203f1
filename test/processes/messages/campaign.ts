/**
 * Walks a holder and a sender through every step of a message: at step n = 1, 2, ... the victim is stopped, killed, or its
 * call fails, until there are fewer steps. Each time the sender is to be told the truth, nothing is handled twice, others
 * are in nobody's way, and nothing is left.
 */

import { existsSync, readFileSync, rmSync, utimesSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import { expect } from "vitest";
import type { testDirectory } from "../../support/directory.ts";
import { footprint } from "../../support/kernel.ts";
import { Peer } from "../../support/peer.ts";
import { type RuntimeName, RUNTIMES } from "../../support/runtimes.ts";
import { stateOf } from "../../support/stopped.ts";
import { type Scene, SCENES } from "./scenes.ts";

export type Action = "stop" | "kill" | "fail";

const SCENES_URL = new URL("./scenes.ts", import.meta.url).href;
const FAULTS_URL = new URL("../../support/faults.ts", import.meta.url).href;
/** No scene has more steps; more means that the end was not seen. */
const MOST_STEPS = 250;
/** ms that a sender waits for a holder that is stopped. */
const PATIENCE = 30;

function arm(peer: Peer, step: number, action: Action): Promise<void> {
  return peer.run(async (_api, _state, { faults, step, action }) => {
    (await import(faults)).arm(step, action);
  }, { faults: FAULTS_URL, step, action });
}

function stepsOf(peer: Peer): Promise<string[]> {
  return peer.run(async (_api, _state, faults) => (await import(faults)).steps(), FAULTS_URL);
}

/** One runtime's victims, one action, one scene after the other. */
export class Campaign implements AsyncDisposable {
  /** How often each step was the one, by name. */
  readonly hits: Record<string, number> = {};
  /** What senders were told. */
  readonly outcomes: Record<string, number> = {};
  /** How often another process was told which process is in the way. */
  busy = 0;
  readonly #runtime: RuntimeName;
  readonly #action: Action;
  readonly #directory: ReturnType<typeof testDirectory>;
  readonly #journal: string;
  readonly #witnesses = new Map<RuntimeName, Peer>();
  readonly #spare: Promise<Peer>[] = [];
  #victim: Peer | undefined;
  #count = 0;

  /** `place`: another directory, for the journal. */
  constructor(runtime: RuntimeName, action: Action, directory: ReturnType<typeof testDirectory>, place: string) {
    this.#runtime = runtime;
    this.#action = action;
    this.#directory = directory;
    this.#journal = `${place}/journal`;
  }

  #start(runtime: RuntimeName): Promise<Peer> {
    return Peer.start(runtime, { directory: this.#directory.path, faults: true });
  }

  /** The next victim. Those to be killed are started in advance. */
  async #nextVictim(): Promise<Peer> {
    if (this.#action !== "kill") return this.#victim ??= await this.#start(this.#runtime);
    while (this.#spare.length < 3) this.#spare.push(this.#start(this.#runtime));
    return await this.#spare.shift()!;
  }

  async #witness(turn: number): Promise<Peer> {
    const runtime = RUNTIMES[turn % RUNTIMES.length]!;
    let witness = this.#witnesses.get(runtime);
    if (witness === undefined) this.#witnesses.set(runtime, witness = await this.#start(runtime));
    return witness;
  }

  /** Goes through the steps of one scene: all, or every `every`th from `from` on. */
  async run(what: keyof typeof SCENES, from = 1, every = 1): Promise<void> {
    for (let step = from; await this.#at(what, SCENES[what]!, step); step += every) {
      expect(step, `${what}: the steps never end`).toBeLessThan(MOST_STEPS);
    }
  }

  /** How often a request was begun. */
  #begun(number: string): number {
    if (!existsSync(this.#journal)) return 0;
    return readFileSync(this.#journal, "utf8").split("\n").filter((line) => line === number).length;
  }

  /** Resolves when the victim is stopped, has died, or when `performed` is over. */
  async #met(victim: Peer, performed: Promise<unknown>): Promise<void> {
    let isOver = false;
    void performed.finally(() => isOver = true).catch(() => {});
    while (!isOver && !["T", "Z", ""].includes(stateOf(victim.pid))) await setImmediate();
  }

  /** One step. False: there is no such step. */
  async #at(what: string, scene: Scene, step: number): Promise<boolean> {
    const name = `messages-${this.#count++}`;
    const victim = await this.#nextVictim();
    const [witness, other] = [await this.#witness(this.#count), await this.#witness(this.#count + 1)];
    const [holder, sender] = scene.victim === "holder" ? [victim, witness] : [witness, victim];
    const where = `${this.#runtime}, ${what}, ${this.#action} at step ${step}, witness ${witness.runtime}`;
    rmSync(this.#journal, { force: true });
    await holder.call(SCENES_URL, "hold", { name, journal: this.#journal, how: scene.holder });

    const sends = (number: string, timeout: number | null): Promise<string> =>
      sender.call<string>(SCENES_URL, "send", { name, number, timeout });
    const isHeldUp = this.#action === "stop" && scene.victim === "holder";
    const patience = scene.timeout ?? (isHeldUp && scene.act === "send" ? PATIENCE : null);
    let sent: Promise<string>;
    let acted: Promise<unknown>;
    if (scene.act === "send") {
      await arm(victim, step, this.#action);
      acted = sent = sends("first", patience);
    } else {
      sent = sends("first", null);
      await this.#isPending(name, scene, sent);
      await arm(victim, step, this.#action);
      acted = victim.call(SCENES_URL, "release");
    }
    acted.catch(() => {}); // the victim is killed
    sent.catch(() => {});
    await this.#met(victim, scene.victim === "holder" ? Promise.all([acted, sent]) : acted);
    const isMet = this.#action === "stop" ? stateOf(victim.pid) === "T" : ["Z", ""].includes(stateOf(victim.pid));

    // Who is stopped or dead as a sender is in nobody's way.
    if (scene.victim === "sender" && scene.holder === "answers") {
      const later = await other.call(SCENES_URL, "send", { name, number: "later", timeout: null });
      // It may have been stopped within the lock that everybody needs who attaches.
      if (later === `busy: ${victim.pid}`) this.busy++;
      else expect(later, where).toBe("answered");
    }
    if (this.#action === "stop" && isHeldUp && scene.act === "send") await sent; // it gives up, or was answered before
    let hit: string | undefined;
    let outcome: string | undefined;
    if (this.#action === "kill") {
      await (isMet ? victim.exited() : victim.kill());
      hit = isMet ? "killed" : undefined;
      outcome = scene.victim === "holder" ? await sent : undefined;
    } else {
      if (isMet) victim.signal("SIGCONT");
      outcome = await sent;
      await acted;
      hit = (await stepsOf(victim))[step - 1];
    }
    this.#check(`${where} (${hit})`, scene, outcome);
    await this.#expectClean(where, name, { victim, holder, other });
    if (hit !== undefined) this.hits[hit] = (this.hits[hit] ?? 0) + 1;
    return hit !== undefined;
  }

  /** Waits until the request is where the scene wants it. */
  async #isPending(name: string, scene: Scene, sent: Promise<string>): Promise<void> {
    if (scene.holder === "hangs") {
      while (this.#begun("first") === 0) await setImmediate();
      return;
    }
    // The table of messages begins behind the control block; a state of 2 is that of one that waits (c/src/layout.h).
    const path = `${this.#directory.path}/i-${name}`;
    const isNew = (): boolean => new DataView(readFileSync(path).buffer, 0).getUint32(8192, true) === 2;
    let isOver = false;
    void sent.finally(() => isOver = true).catch(() => {});
    while (!isOver && !isNew()) await setImmediate();
  }

  #check(where: string, scene: Scene, outcome: string | undefined): void {
    const begun = this.#begun("first");
    const told = `${where}: told ${outcome}, begun ${begun} times`;
    this.outcomes[String(outcome)] = (this.outcomes[String(outcome)] ?? 0) + 1;
    expect(begun, told).toBeLessThanOrEqual(1);
    const allowed = ["answered", "failed", "no", "unknown", ...(this.#action === "fail" ? ["typed error", "not stored"] : [])];
    if (outcome !== undefined) expect(allowed, told).toContain(outcome);
    if (["answered", "failed", "not stored"].includes(outcome ?? "")) expect(begun, told).toBe(1);
    if (outcome === "no") expect(begun, told).toBe(0);
    if (scene.holder === "waits") expect(outcome ?? "no", told).toBeOneOf(["no", "typed error"]);
  }

  /** The guard can be had, its next holder answers, and afterwards nothing is left: no file, no descriptor, no mapping. */
  async #expectClean(where: string, name: string, cast: Record<"victim" | "holder" | "other", Peer>): Promise<void> {
    const { victim, holder, other } = cast;
    if (holder !== victim || this.#action !== "kill") await holder.call(SCENES_URL, "release");
    await other.call(SCENES_URL, "hold", { name, journal: this.#journal, how: "answers" });
    const witness = holder === victim ? await this.#witness(this.#count) : holder;
    expect(await witness.call(SCENES_URL, "send", { name, number: "last", timeout: null }), where).toBe("answered");
    await other.call(SCENES_URL, "release");
    expect(this.#begun("last"), where).toBe(1);
    expect(this.#begun("first"), where).toBeLessThanOrEqual(1);
    const left = this.#directory.entries();
    if (this.#action === "fail" && left.length > 0) await this.#expectSwept(`${where}: ${left}`, other);
    else expect(left, where).toEqual([]);
    for (const peer of new Set([holder, witness, other])) {
      if (peer === victim && this.#action === "kill") continue;
      const held = footprint(peer.pid, this.#directory.path);
      expect(held, `${where}: left in ${peer.runtime}`).toEqual({ descriptors: [], mappings: [] });
    }
  }

  /** A file that could not be removed is garbage when nobody has touched it for a while. */
  async #expectSwept(where: string, peer: Peer): Promise<void> {
    for (const name of this.#directory.entries()) {
      expect(name, where).toMatch(/^[br]\./);
      utimesSync(`${this.#directory.path}/${name}`, 0, 0);
    }
    await peer.run(({ SharedMemory }) => {
      for (const key of ["one", "two"]) SharedMemory.create(key, 64).detach();
    });
    expect(this.#directory.entries(), where).toEqual([]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const victim = this.#victim === undefined ? [] : [this.#victim];
    const peers = await Promise.all([...this.#spare, ...this.#witnesses.values(), ...victim]);
    await Promise.all(peers.map((peer) => peer[Symbol.asyncDispose]()));
  }
}
