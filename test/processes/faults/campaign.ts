/**
 * Walks a victim through every step of every operation: at step n = 1, 2, ... it is stopped, killed, or its call fails,
 * until an operation passes with fewer steps. Each time another process then does the same, and what it finds is
 * compared with what the victim can have left.
 */

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { expect } from "vitest";
import type { testDirectory } from "../../support/directory.ts";
import { footprint, lockWord, setLockOwner } from "../../support/kernel.ts";
import { Peer } from "../../support/peer.ts";
import { type RuntimeName, RUNTIMES } from "../../support/runtimes.ts";
import { stopped } from "../../support/stopped.ts";
import type { Act, Rescue, Scene } from "./operations.ts";

export type Action = "stop" | "kill" | "fail";

const OPERATIONS_URL = new URL("./operations.ts", import.meta.url).href;
const FAULTS_URL = new URL("../../support/faults.ts", import.meta.url).href;
/** An id that nobody ever draws here: whoever has it is dead. */
const DEAD_ID = 0x7ffffff0;
/** No operation has more steps; more means that the end was not seen. */
const MOST_STEPS = 150;

interface Order {
  readonly operations: string;
  readonly faults: string;
  readonly key: string;
  readonly act: Act;
  readonly step: number;
  readonly action: Action | "count";
}

interface Performed {
  readonly steps: string[];
  readonly error: { name: string; code: string | undefined; pid: number | undefined; message: string } | null;
}

/** What the rescuer found. */
interface Rescued {
  readonly outcome: string;
  readonly pid?: number;
  readonly created?: boolean;
  readonly recovered?: boolean;
  readonly ownerDied?: boolean;
}

async function performIn(peer: Peer, order: Order): Promise<Performed> {
  return await peer.run(async (api, state, { operations, faults, key, act, step, action }: Order) => {
    const { perform } = await import(operations);
    const { arm, steps } = await import(faults);
    let error: Performed["error"] = null;
    arm(step, action);
    try {
      await perform(api, state, key, act);
    } catch (thrown) {
      const { name, code, pid, message } = thrown as Error & { code?: string; pid?: number };
      error = { name, code: typeof code === "string" ? code : undefined, pid, message };
    }
    return { steps: steps(), error };
  }, order);
}

async function prepareIn(peer: Peer, key: string, has: "attached" | "locked" | undefined): Promise<void> {
  await peer.run(async (api, state, { operations, key, has }) => {
    const { prepare } = await import(operations);
    prepare(api, state, key, has);
  }, { operations: OPERATIONS_URL, key, has });
}

async function finishIn(peer: Peer, where = "count"): Promise<void> {
  const wrong = await peer.run(async (api, state, operations: string): Promise<string | null> => {
    const { finish } = await import(operations);
    return finish(api, state);
  }, OPERATIONS_URL);
  expect(wrong, where).toBe(null);
}

async function rescueIn(peer: Peer, key: string, rescue: Rescue): Promise<Rescued> {
  return await peer.run(async (api, state, { key, rescue }): Promise<Rescued> => {
    try {
      if (rescue === "lock") {
        try {
          state.lock?.unlock();
        } catch {
          // taken away by the victim
        }
        state.lock = state.memory.lockSync({ timeout: 60 });
        return { outcome: "done", ownerDied: state.lock.ownerDied };
      }
      if (rescue === "detach") return { outcome: state.memory.detach() ? "done" : "was detached" };
      // A second attachment, where the witness has one.
      const { SharedMemory } = api;
      const memory = rescue === "create"
        ? SharedMemory.create(key, 64)
        : rescue === "attach"
        ? SharedMemory.attach(key)
        : SharedMemory.open(key, 64);
      const { created, recovered } = memory;
      state.rescued = memory; // kept: the victim, continued, must not take its name away
      return { outcome: "done", created, recovered };
    } catch (error) {
      const { name, pid } = error as Error & { pid?: number };
      return { outcome: name, ...(pid === undefined ? {} : { pid }) };
    }
  }, { key, rescue });
}

/** One runtime's victims, one action. */
export class Campaign implements AsyncDisposable {
  /** How often each step was the one, by name. */
  readonly hits: Record<string, number> = {};
  /** How often a rescuer was told which process is in the way. */
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

  async #nextWitness(): Promise<Peer> {
    const runtime = RUNTIMES[this.#count++ % RUNTIMES.length]!;
    let witness = this.#witnesses.get(runtime);
    if (witness === undefined) {
      witness = await this.#start(runtime);
      this.#witnesses.set(runtime, witness);
    }
    return witness;
  }

  /** A segment's file as a killed process leaves it: nobody holds a byte of it. */
  async #deadFile(path: string, key: string): Promise<void> {
    const witness = await this.#nextWitness();
    await prepareIn(witness, key, "attached");
    const bytes = readFileSync(path);
    await finishIn(witness);
    writeFileSync(path, bytes, { mode: 0o600 });
  }

  /** Goes through all steps of one operation. */
  async run(name: string, scene: Scene): Promise<void> {
    const names = await this.#countSteps(scene);
    for (let step = 1; await this.#at(name, scene, step, names); step++) {
      expect(step, `${name}: the steps never end`).toBeLessThan(MOST_STEPS);
    }
  }

  /** The names of the steps as a new process takes them: one that is killed cannot tell. */
  async #countSteps(scene: Scene): Promise<string[]> {
    if (this.#action !== "kill") return [];
    const { victim, witness, key } = await this.#scene(scene);
    const { steps } = await performIn(victim, { ...this.#order(scene.act, key, 0), action: "count" });
    await victim.kill();
    await finishIn(witness);
    await this.#expectClean(witness, key);
    return steps;
  }

  async #scene(scene: Scene): Promise<{ victim: Peer; witness: Peer; key: string; path: string }> {
    const key = `key-${this.#count}`;
    const path = `${this.#directory.path}/m-${key}`;
    const victim = await this.#nextVictim();
    if (scene.file === "dead") await this.#deadFile(path, key);
    const witness = await this.#nextWitness();
    await prepareIn(witness, key, scene.witness);
    await prepareIn(victim, key, scene.victim);
    if (scene.deadOwner) setLockOwner(path, DEAD_ID);
    return { victim, witness, key, path };
  }

  #order(act: Act, key: string, step: number): Order {
    return { operations: OPERATIONS_URL, faults: FAULTS_URL, key, act, step, action: this.#action };
  }

  /** One step. False: the operation has fewer. */
  async #at(name: string, scene: Scene, step: number, names: readonly string[]): Promise<boolean> {
    const { victim, witness, key, path } = await this.#scene(scene);
    const where = `${this.#runtime}, ${name}, ${this.#action} at step ${step} (${names[step - 1] ?? "?"})`;
    const performed = performIn(victim, this.#order(scene.act, key, step));
    let hit: string | undefined;
    if (this.#action === "kill") {
      const died = await this.#kill(where, scene, victim, witness, key, path, performed);
      if (died) hit = names[step - 1] ?? "(a later turn)";
    } else {
      if (this.#action === "stop") await this.#stop(where, scene, victim, witness, key, path, performed);
      else await this.#fail(where, scene, victim, witness, key, path, performed);
      hit = (await performed).steps[step - 1];
    }
    await this.#expectClean(witness, key, where);
    if (hit === undefined) return false;
    this.hits[hit] = (this.hits[hit] ?? 0) + 1;
    return true;
  }

  async #stop(
    where: string,
    scene: Scene,
    victim: Peer,
    witness: Peer,
    key: string,
    path: string,
    performed: Promise<Performed>,
  ): Promise<void> {
    await Promise.race([stopped(victim.pid), performed]);
    await this.#rescue(where, scene, witness, key, path, victim.pid);
    victim.signal("SIGCONT");
    const { error } = await performed;
    expect(error?.code ?? error?.name ?? "none", `${where}: ${error?.message}`).toBeOneOf([
      "none",
      "AlreadyExists", // the rescuer had the name meanwhile
      "NotFound",
      "TimeoutError",
      "LockError", // what the victim owned, or was about to free, was taken over in order
    ]);
    await finishIn(victim, where);
    await finishIn(witness, where);
    this.#expectNoTrace(where, victim);
  }

  /** True: it died at the step. An answer means that there was no such step; then it is killed after the operation. */
  async #kill(
    where: string,
    scene: Scene,
    victim: Peer,
    witness: Peer,
    key: string,
    path: string,
    performed: Promise<Performed>,
  ): Promise<boolean> {
    const died = await performed.then(() => false, () => true);
    await victim.kill();
    await this.#rescue(where, scene, witness, key, path, undefined);
    await finishIn(witness, where);
    return died;
  }

  async #fail(
    where: string,
    scene: Scene,
    victim: Peer,
    witness: Peer,
    key: string,
    path: string,
    performed: Promise<Performed>,
  ): Promise<void> {
    const { error } = await performed;
    if (error !== null && error.name !== "TimeoutError") {
      expect(error.code, `${where}: ${error.name}: ${error.message}`).toBeTypeOf("string");
    }
    if (error !== null && scene.victim === undefined) this.#expectNoTrace(where, victim);
    await this.#rescue(where, scene, witness, key, path, victim.pid);
    await finishIn(victim, where);
    await finishIn(witness, where);
    this.#expectNoTrace(where, victim);
  }

  /** Lets the witness do the same, and compares. `living`: the victim's pid, if it lives and may be stopped. */
  async #rescue(
    where: string,
    scene: Scene,
    witness: Peer,
    key: string,
    path: string,
    living: number | undefined,
  ): Promise<void> {
    const existed = existsSync(path);
    // What the witness itself holds it frees first.
    const lock = existed && scene.rescue === "lock" ? lockWord(path) : undefined;
    const rescued = await rescueIn(witness, key, scene.rescue);
    const what = `${where}: ${scene.rescue} by ${witness.runtime} gives ${JSON.stringify(rescued)}`;
    if (living === undefined) {
      expect(rescued.outcome, what).toBe("done");
      if (scene.witness === undefined) expect(rescued.recovered, `${what}; file there: ${existed}`).toBe(existed);
      if (lock !== undefined && scene.witness === "attached") {
        // Somebody who is dead had it, or it was marked before.
        expect(rescued.ownerDied, `${what}; ${JSON.stringify(lock)}`).toBe(lock.owner !== 0 || lock.died);
      } else if (lock !== undefined) {
        // The witness had it. Taken away is told; and the victim, as heir, may have got it before it died.
        if (lock.died) expect(rescued.ownerDied, what).toBe(true);
        if (!lock.died && lock.heir === 0) expect(rescued.ownerDied, what).toBe(false);
      }
      return;
    }
    const allowed = ["done", "BusyError", ...(scene.rescue === "lock" ? ["TimeoutError"] : ["AlreadyExistsError"])];
    expect(rescued.outcome, what).toBeOneOf(allowed);
    if (rescued.outcome === "BusyError") {
      expect(rescued.pid, what).toBe(living);
      this.busy++;
    }
    if (rescued.outcome === "TimeoutError") expect(lockWord(path).owner, what).not.toBe(0);
  }

  /** The name can be had, and afterwards nothing is left: no file, no descriptor, no mapping. */
  async #expectClean(witness: Peer, key: string, where = "count"): Promise<void> {
    const created = await witness.run(({ SharedMemory }, _state, key: string) => {
      const memory = SharedMemory.create(key, 64);
      memory.detach();
      return memory.created;
    }, key);
    expect(created, where).toBe(true);
    expect(this.#directory.entries(), where).toEqual([]);
    this.#expectNoTrace(where, witness);
  }

  #expectNoTrace(where: string, peer: Peer): void {
    expect(footprint(peer.pid, this.#directory.path), `${where}: left in ${peer.runtime}`).toEqual({
      descriptors: [],
      mappings: [],
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const peers = await Promise.all([
      ...this.#spare,
      ...this.#witnesses.values(),
      ...(this.#victim ? [this.#victim] : []),
    ]);
    await Promise.all(peers.map((peer) => peer[Symbol.asyncDispose]()));
  }
}
