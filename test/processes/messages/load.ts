/** What sends while somebody scribbles. Loaded by the peers, by its URL. */

import type { Api, State } from "../../support/peer.ts";

/** Begins to send, over and over; each lane's requests from attachments of their own. */
export function begin(api: Api, state: State, { name, lanes }: { name: string; lanes: number }): void {
  const { QshmError, SingleInstance } = api;
  const counts: Record<string, number> = {};
  state.goOn = true;
  const lane = async (n: number): Promise<void> => {
    for (let i = 0; state.goOn; i++) {
      let outcome = "answered";
      try {
        using running = await SingleInstance.connect(name);
        await running.send("x".repeat((i * 37 + n) % 6000), { timeout: 50 });
      } catch (error) {
        const { name, message, stack } = error as Error;
        outcome = error instanceof QshmError || name === "TimeoutError" ? name : `untyped ${name}: ${message} ${stack}`;
      }
      counts[outcome] = (counts[outcome] ?? 0) + 1;
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  state.lanes = Promise.all(Array.from({ length: lanes }, (_, n) => lane(n))).then(() => counts);
}

/** Ends it; what came of the requests, counted. */
export function end(_api: Api, state: State): Promise<Record<string, number>> {
  state.goOn = false;
  return state.lanes;
}

/** Sends one, and gives the reply's data. */
export async function sendOne(api: Api, _state: State, { name, data }: { name: string; data: string }): Promise<unknown> {
  using running = await api.SingleInstance.connect(name);
  return (await running.send(data, { timeout: 10_000 })).data;
}
