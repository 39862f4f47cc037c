import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startValkey, type ValkeyServer } from "../../infra/local/valkey-server.ts";
import { compare } from "../../shared/backup/comparison.ts";
import type { LoadOptions, LoadSource } from "../../shared/pipeline/ports.ts";
import { encodeString, writeRdb } from "../../shared/rdb/writer.ts";
import { send } from "../valkey/client.ts";
import { calm, firstAttempt, instanceAt, sourceOf, valkey } from "../valkey/fixture.ts";

let target: ValkeyServer;
beforeAll(async () => {
  target = await startValkey({ version: "8.0" });
});
afterAll(() => target?.stop());
beforeEach(() => send(target.endpoint, ["FLUSHALL"]));

const fileOf = async (prefix: string, value: string, count = 5_000, expireTimeMs = -1): Promise<LoadSource> =>
  await sourceOf(
    writeRdb(
      { magic: "REDIS", rdbVersion: 11 },
      Array.from({ length: count }, (_, n) => ({
        kind: "record" as const,
        key: Buffer.from(`${prefix}:${n}`),
        type: 0,
        value: Uint8Array.from(encodeString(value)),
        db: 0,
        expireTimeMs,
      })),
    ),
    4096,
  );

const load = (source: LoadSource, changes: Partial<LoadOptions> = {}) =>
  valkey.load(instanceAt(target.endpoint), source, { ...firstAttempt, ...changes }, calm());

/** Stops in the midst of the file until it is told to go on. */
function heldUp(source: LoadSource): { source: LoadSource; began: Promise<void>; goOn: () => void } {
  const began = Promise.withResolvers<void>();
  const going = Promise.withResolvers<void>();
  return {
    began: began.promise,
    goOn: going.resolve,
    source: {
      ...source,
      async *read(range, signal) {
        let pieces = 0;
        for await (const piece of source.read(range, signal)) {
          yield piece;
          if (++pieces !== 3) continue;
          began.resolve();
          await going.promise;
        }
      },
    },
  };
}

describe("the parts of one restore", () => {
  it("do not cut each other off when one of them is tried again", async () => {
    const one = heldUp(await fileOf("one", "v"));
    const first = load(one.source, { epoch: 1 }).then(
      () => "done",
      (error) => error.message,
    );
    await one.began;
    await load(await fileOf("two", "v"), { part: 1, epoch: 2, replace: true });
    one.goOn();
    expect(await first).toBe("done");
  });

  it("do not cut each other off when one of them fails", async () => {
    const one = heldUp(await fileOf("one", "v"));
    const first = load(one.source, { epoch: 1 }).then(
      () => "done",
      (error) => error.message,
    );
    await one.began;
    await send(target.endpoint, ["SET", "two:7", "somebody's"]);
    await load(await fileOf("two", "v"), { part: 1, epoch: 1 }).catch(() => undefined);
    one.goOn();
    expect(await first).toBe("done");
  });
});

describe("a restore that was cancelled", () => {
  it("does not go on writing into the next one", async () => {
    const monday = heldUp(await fileOf("k", "monday"));
    const cancelled = load(monday.source, { operation: "restore-1", epoch: 2, replace: true }).catch(() => undefined);
    await monday.began;
    await send(target.endpoint, ["FLUSHALL"]);
    await load(await fileOf("k", "tuesday"), { operation: "restore-2", epoch: 1 });
    monday.goOn();
    await cancelled;
    expect(String(await send(target.endpoint, ["GET", "k:4999"]))).toBe("tuesday");
  });
});

describe("a key whose time comes between the start of a load and its turn", () => {
  it("is not missed by the comparison", async () => {
    const before = await valkey.describe(instanceAt(target.endpoint), calm());
    const soon = Date.now() - 1;
    const part = await load(await fileOf("k", "v", 100, soon), { now: () => soon - 500 });
    const found = await valkey.describe(instanceAt(target.endpoint), calm());
    const plan = {
      source: "",
      files: [],
      parts: [],
      askedCount: 1,
      loadedCount: 1,
      target: { ids: [], runId: before.runId, expiredKeys: before.expiredKeys },
      loaded: [{ file: 0, ...part, sizeBytes: 1 }],
    };
    expect(compare(plan, found)).toEqual([]);
  });
});
