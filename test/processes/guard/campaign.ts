/**
 * Walks a victim through every step of acquiring a guard, releasing it, and looking who holds it: at step n = 1, 2, ...
 * it is stopped, killed, or its call fails, until there are fewer steps. Each time another process then looks, and asks
 * for the guard: never do two hold it, what is told of the holder is true, and a crash is told exactly when there was
 * one.
 */

import { readFileSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import type { testDirectory } from "../../support/directory.ts";
import { footprint } from "../../support/kernel.ts";
import { Peer } from "../../support/peer.ts";
import { type RuntimeName, RUNTIMES } from "../../support/runtimes.ts";
import { stopped } from "../../support/stopped.ts";
import type { Act, Outcome, Scene } from "./scenes.ts";

export type Action = "stop" | "kill" | "fail";

const SCENES_URL = new URL("./scenes.ts", import.meta.url).href;
const FAULTS_URL = new URL("../../support/faults.ts", import.meta.url).href;
/** No scene has more steps; more means that the end was not seen. */
const MOST_STEPS = 150;
/** What a dead holder said of itself. */
const FORMER = "former";

type Performed = Outcome & { readonly steps: string[] };

function performIn(peer: Peer, name: string, act: Act, step: number, action: Action | "count"): Promise<Performed> {
  return peer.run(async (api, state, { scenes, faults, name, act, step, action }): Promise<Performed> => {
    const { perform } = await import(scenes);
    const { arm, steps } = await import(faults);
    arm(step, action);
    const outcome = await perform(api, state, name, act);
    return { ...outcome, steps: steps() };
  }, { scenes: SCENES_URL, faults: FAULTS_URL, name, act, step, action });
}

/** Asks in a peer; the token is its pid, unless said otherwise. */
function acquireIn(peer: Peer, name: string, timeout: number | "Infinity" = 0, token = String(peer.pid)): Promise<Outcome> {
  return peer.run(async (api, state, { scenes, name, token, timeout }): Promise<Outcome> => {
    const { acquire } = await import(scenes);
    return acquire(api, state, name, token, Number(timeout));
  }, { scenes: SCENES_URL, name, token, timeout });
}

function connectIn(peer: Peer, name: string): Promise<Outcome> {
  return peer.run(async (api, _state, { scenes, name }): Promise<Outcome> => {
    const { connect } = await import(scenes);
    return connect(api, name);
  }, { scenes: SCENES_URL, name });
}

function releaseIn(peer: Peer): Promise<void> {
  return peer.run((_api, state) => {
    state.guard?.release();
    delete state.guard;
  });
}

/** One runtime's victims, one action, one scene after the other. */
export class Campaign implements AsyncDisposable {
  /** How often each step was the one, by name. */
  readonly hits: Record<string, number> = {};
  /** How often another process was told which process is in the way. */
  busy = 0;
  readonly #runtime: RuntimeName;
  readonly #action: Action;
  readonly #directory: ReturnType<typeof testDirectory>;
  readonly #witnesses = new Map<RuntimeName, Peer>();
  readonly #spare: Promise<Peer>[] = [];
  #victim: Peer | undefined;
  #count = 0;

  constructor(runtime: RuntimeName, action: Action, directory: ReturnType<typeof testDirectory>) {
    this.#runtime = runtime;
    this.#action = action;
    this.#directory = directory;
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
    if (witness === undefined) {
      witness = await this.#start(runtime);
      this.#witnesses.set(runtime, witness);
    }
    return witness;
  }

  /** Goes through the steps of one scene: all, or every `every`th from `from` on. */
  async run(what: string, scene: Scene, from = 1, every = 1): Promise<void> {
    const names = this.#action === "kill" ? await this.#countSteps(scene) : [];
    // What comes before is to attach, which faults.test.ts walks through: the runtimes share it, since every step costs
    // a process.
    const own = names.indexOf("attached to guard");
    for (let step = from;; step += every) {
      if (step <= own && step % RUNTIMES.length !== RUNTIMES.indexOf(this.#runtime)) continue;
      if (!await new Stage(this, what, scene, step, names).play()) return;
      expect(step, `${what}: the steps never end`).toBeLessThan(MOST_STEPS);
    }
  }

  /** The names of the steps as a new process takes them: one that is killed cannot tell. */
  async #countSteps(scene: Scene): Promise<string[]> {
    const { victim, witness, name, waiting } = await this.set(scene);
    const { steps } = await performIn(victim, name, scene.act, 0, "count");
    await releaseIn(victim);
    await victim.kill();
    await waiting; // it gets it now, at the latest
    await releaseIn(witness);
    await this.expectClean(witness, name, "count");
    return steps;
  }

  /** Sets a scene. The other one is a second witness. */
  async set(scene: Scene): Promise<Cast> {
    const name = `guard-${this.#count++}`;
    const victim = await this.#nextVictim();
    const [witness, other] = [await this.#witness(this.#count), await this.#witness(this.#count + 1)];
    if (scene.crashed) await this.#crash(witness, name);
    if (scene.witness === "holds") await acquireIn(witness, name);
    if (scene.act === "release") await acquireIn(victim, name);
    const waiting = scene.witness === "waits" ? acquireIn(witness, name, "Infinity") : undefined;
    if (waiting !== undefined) await witness.run(() => {}); // it has asked
    return { name, victim, witness, other, waiting };
  }

  /** The file as a holder leaves it that is killed: nobody holds a byte of it. */
  async #crash(witness: Peer, name: string): Promise<void> {
    const path = `${this.#directory.path}/i-${name}`;
    await acquireIn(witness, name, 0, FORMER);
    const bytes = readFileSync(path);
    await releaseIn(witness);
    writeFileSync(path, bytes, { mode: 0o600 });
  }

  get action(): Action {
    return this.#action;
  }

  /** Nobody holds it, it can be had, no crash is told, and afterwards nothing is left. */
  async expectClean(witness: Peer, name: string, where: string): Promise<void> {
    expect(await acquireIn(witness, name), where).toEqual({ how: "done", recovered: false });
    await releaseIn(witness);
    expect(this.#directory.entries(), where).toEqual([]);
    this.expectNoTrace(witness, where);
  }

  expectNoTrace(peer: Peer, where: string): void {
    const left = footprint(peer.pid, this.#directory.path);
    expect(left, `${where}: left in ${peer.runtime}`).toEqual({ descriptors: [], mappings: [] });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const victim = this.#victim === undefined ? [] : [this.#victim];
    const peers = await Promise.all([...this.#spare, ...this.#witnesses.values(), ...victim]);
    await Promise.all(peers.map((peer) => peer[Symbol.asyncDispose]()));
  }
}

interface Cast {
  readonly name: string;
  readonly victim: Peer;
  readonly witness: Peer;
  readonly other: Peer;
  /** The witness's request, where it waits. */
  readonly waiting: Promise<Outcome> | undefined;
}

/** One scene, with the fault at one step. */
class Stage {
  readonly #campaign: Campaign;
  readonly #scene: Scene;
  readonly #step: number;
  readonly #names: readonly string[];
  readonly #what: string;
  #where = "";

  constructor(campaign: Campaign, what: string, scene: Scene, step: number, names: readonly string[]) {
    this.#campaign = campaign;
    this.#what = what;
    this.#scene = scene;
    this.#step = step;
    this.#names = names;
  }

  /** False: there is no such step. */
  async play(): Promise<boolean> {
    const { action } = this.#campaign;
    const cast = await this.#campaign.set(this.#scene);
    const { name, victim, witness } = cast;
    const known = this.#names[this.#step - 1] ?? "?";
    this.#where = `${victim.runtime}, ${this.#what}, ${action} at step ${this.#step} (${known}), witness ${witness.runtime}`;
    const performed = performIn(victim, name, this.#scene.act, this.#step, action);
    let hit: string | undefined;
    if (action === "kill") {
      const died = await performed.then(() => false, () => true);
      await (died ? victim.exited() : victim.kill());
      if (died) hit = known;
      await this.#afterKill(cast);
    } else {
      if (action === "stop") await this.#stop(cast, performed);
      else await this.#fail(cast, await performed);
      hit = (await performed).steps[this.#step - 1];
      await releaseIn(victim);
      this.#campaign.expectNoTrace(victim, this.#where);
    }
    await releaseIn(witness);
    await this.#campaign.expectClean(witness, name, this.#where);
    if (hit === undefined) return false;
    this.#campaign.hits[hit] = (this.#campaign.hits[hit] ?? 0) + 1;
    return true;
  }

  /** Is the point behind the step at which it was killed? Behind the last one: no. */
  #wasBefore(point: string): boolean {
    expect(this.#names, this.#where).toContain(point);
    return this.#step <= this.#names.indexOf(point);
  }

  async #afterKill({ name, witness, waiting }: Cast): Promise<void> {
    const { act, crashed, witness: has } = this.#scene;
    if (has === "holds") {
      const looked = await connectIn(witness, name);
      expect(looked, this.#where).toEqual({ how: "done", seen: { token: String(witness.pid), pid: witness.pid } });
      return;
    }
    const looked = await connectIn(witness, name);
    if (waiting === undefined) expect(looked.how, this.#where).toBe("NotRunningError");
    // Who publishes and dies before it holds counts as crashed: guard.c.
    const recovered = act === "acquire" ? crashed || !this.#wasBefore("info published") : this.#wasBefore("info cleared");
    expect(await (waiting ?? acquireIn(witness, name)), this.#where).toEqual({ how: "done", recovered });
  }

  /** What somebody may see while only the victim may hold it, or nobody. */
  #expectTrue({ how, seen, pid }: Outcome, victim: Peer): void {
    if (seen !== undefined) expect(seen, this.#where).toEqual({ token: String(victim.pid), pid: victim.pid });
    if (how === "BusyError" || how === "AlreadyRunningError") expect(pid, this.#where).toBe(victim.pid);
    if (how === "BusyError") this.#campaign.busy++;
  }

  async #stop(cast: Cast, performed: Promise<Performed>): Promise<void> {
    const { name, victim, witness, other, waiting } = cast;
    await Promise.race([stopped(victim.pid), performed]);
    if (this.#scene.witness === "holds") return await this.#stopBeside(cast, performed);
    const looked = await connectIn(other, name);
    if (waiting === undefined) {
      expect(looked.how, this.#where).toBeOneOf(["done", "NotRunningError", "BusyError"]);
      this.#expectTrue(looked, victim);
      const asked = await acquireIn(witness, name);
      expect(asked.how, `${this.#where}: ${asked.message}`).toBeOneOf(["done", "AlreadyRunningError", "BusyError"]);
      this.#expectTrue(asked, victim);
      victim.signal("SIGCONT");
      const { how, message, recovered } = await performed;
      if (this.#scene.act === "acquire") {
        expect([asked.how, how].filter((how) => how === "done"), `${this.#where}: who holds it?`).toHaveLength(1);
        expect(how === "done" ? recovered : asked.recovered, this.#where).toBe(this.#scene.crashed ?? false);
        if (how !== "done") expect(how, `${this.#where}: ${message}`).toBe("AlreadyRunningError");
      } else if (asked.how === "done") {
        expect(asked.recovered, this.#where).toBe(false);
      }
    } else {
      victim.signal("SIGCONT");
      await performed;
      expect(await waiting, this.#where).toEqual({ how: "done", recovered: false });
    }
  }

  /** The victim is not the holder; while it is stopped the guard changes hands. */
  async #stopBeside({ name, victim, witness, other }: Cast, performed: Promise<Performed>): Promise<void> {
    await releaseIn(witness);
    const taken = await acquireIn(other, name);
    expect(taken.how, `${this.#where}: ${taken.message}`).toBeOneOf(["done", "BusyError"]);
    victim.signal("SIGCONT");
    const { how, message, seen, pid } = await performed;
    const both = [witness, other].map((peer) => ({ token: String(peer.pid), pid: peer.pid }));
    const allowed = this.#scene.act === "connect" ? ["done", "NotRunningError", "BusyError"] : ["AlreadyRunningError"];
    if (taken.how !== "done") {
      expect(taken.pid, this.#where).toBe(victim.pid);
      this.#campaign.busy++;
      allowed.push("done"); // nobody held it when it went on
    }
    expect(how, `${this.#where}: ${message}`).toBeOneOf(allowed);
    if (seen !== undefined) expect(both, `${this.#where}: saw ${JSON.stringify(seen)}`).toContainEqual(seen);
    if (pid !== undefined) expect([witness.pid, other.pid], this.#where).toContain(pid);
    await releaseIn(other);
  }

  async #fail({ name, victim, witness, waiting }: Cast, { how, code, message, seen, recovered }: Performed): Promise<void> {
    if (how !== "done") expect(code, `${this.#where}: ${how}: ${message}`).toBeTypeOf("string");
    if (this.#scene.witness === "holds") {
      if (this.#scene.act === "acquire") expect(how, this.#where).not.toBe("done");
      if (seen !== undefined) expect(seen, this.#where).toEqual({ token: String(witness.pid), pid: witness.pid });
      return;
    }
    const holds = how === "done" && this.#scene.act === "acquire";
    if (holds) expect(recovered, this.#where).toBe(this.#scene.crashed ?? false);
    if (waiting !== undefined) return expect(await waiting, this.#where).toEqual({ how: "done", recovered: false });
    const asked = await acquireIn(witness, name);
    if (holds) {
      // Not unguarded.
      expect(asked.how, this.#where).toBe("AlreadyRunningError");
      this.#expectTrue(asked, victim);
    } else {
      this.#campaign.expectNoTrace(victim, this.#where);
      expect(asked, this.#where).toEqual({ how: "done", recovered: this.#scene.crashed ?? false });
    }
  }
}
