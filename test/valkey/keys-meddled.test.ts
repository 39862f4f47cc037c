import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startValkey, type ValkeyServer } from "../../infra/local/valkey-server.ts";
import type { Exchange, KeyRecord } from "../../shared/pipeline/ports.ts";
import { send } from "./client.ts";
import { calm, firstAttempt, instanceAt, valkey } from "./fixture.ts";
import { text } from "./key-record.ts";

/** Who comes between the look at a key of a live server and its change. */
let server: ValkeyServer;

beforeAll(async () => {
  server = await startValkey({ version: "8.0" });
});
afterAll(() => server?.stop());
beforeEach(() => send(server.endpoint, ["FLUSHALL"]));

const ask = (...words: string[]) => send(server.endpoint, words);

/** A string that is sent once something else is done: the key was compared by then. */
const sentAfter = (value: string, act: () => Promise<unknown>): KeyRecord => ({
  ...text(value),
  async *value(signal) {
    await act();
    yield* text(value).value(signal);
  },
});

async function exchange(one: Exchange, epoch = 1): Promise<string | undefined> {
  const options = { ...firstAttempt, epoch, database: 0, now: () => Date.now() };
  const [result] = await valkey.exchange(instanceAt(server.endpoint), [one], options, calm());
  return result?.outcome;
}

describe("a change of a key", () => {
  it("is given up where somebody writes to the key after it was compared", async () => {
    await ask("SET", "a", "old");
    const to = sentAfter("new", () => ask("SET", "a", "theirs"));
    expect(await exchange({ key: Buffer.from("a"), from: text("old").state, to })).toBe("CHANGED");
    expect(String(await ask("GET", "a"))).toBe("theirs");
  });

  it("is cut off by a later attempt, whatever it had sent", async () => {
    const [begun, over] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const to = sentAfter("new", async () => {
      begun.resolve();
      await over.promise;
    });
    const earlier = exchange({ key: Buffer.from("a"), from: undefined, to });
    const cutOff = expect(earlier).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await begun.promise;
    expect(await exchange({ key: Buffer.from("b"), from: undefined, to: text("new") }, 2)).toBe("DONE");
    over.resolve();
    await cutOff;
    expect(await ask("EXISTS", "a")).toBe(0);
  });
});
