import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startValkey, type ValkeyServer } from "../../infra/local/valkey-server.ts";
import type { KeyState } from "../../shared/backup/selection.ts";
import type { Exchange, KeyRecord } from "../../shared/pipeline/ports.ts";
import { fillEverything, fingerprint } from "../fixture/dataset.ts";
import { send } from "./client.ts";
import { calm, firstAttempt, instanceAt, valkey } from "./fixture.ts";
import { recordOf, text } from "./key-record.ts";
import { startTlsValkey } from "./tls-server.ts";

const far = Date.UTC(2100, 0, 1);
let server: ValkeyServer;

beforeAll(async () => {
  server = await startValkey({ version: "8.0" });
});
afterAll(() => server?.stop());
beforeEach(() => send(server.endpoint, ["FLUSHALL"], ["CONFIG", "SET", "maxmemory", "0"]));

const ask = (...words: (string | Buffer | number)[]) => send(server.endpoint, words);

/** The keys as the server dumps them, ready to be written elsewhere. */
async function recordsOf(endpoint: string, keys: readonly string[], database = 0): Promise<(KeyRecord | undefined)[]> {
  const found: (KeyRecord | undefined)[] = keys.map(() => undefined);
  const values = new Map<number, Buffer[]>();
  const bytes = keys.map((key) => Buffer.from(key));
  for await (const piece of valkey.dump(instanceAt(endpoint), database, bytes, calm())) {
    const pieces = values.get(piece.index) ?? [];
    values.set(piece.index, pieces);
    pieces.push(Buffer.from(piece.bytes));
    found[piece.index] = recordOf(piece.type, pieces, piece.expireTimeMs);
  }
  return found;
}

const change = (key: string, from: KeyState | undefined | "ANY", to: KeyRecord | undefined): Exchange => ({
  key: Buffer.from(key),
  from,
  to,
});

const options = { ...firstAttempt, database: 0, now: () => Date.now() };
const exchange = (...exchanges: Exchange[]) => exchangeAt(server.endpoint, exchanges);

async function exchangeAt(endpoint: string, exchanges: Exchange[], database = 0): Promise<string[]> {
  const results = await valkey.exchange(instanceAt(endpoint), exchanges, { ...options, database }, calm());
  return results.map(({ outcome }) => outcome);
}

describe("keys of a live server", () => {
  it("are dumped in their order, those that are not there left out", async () => {
    await ask("MSET", "a", "1", "c", "3");
    await ask("PEXPIREAT", "c", far);
    const [a, b, c] = await recordsOf(server.endpoint, ["a", "b", "c"]);
    expect([a?.state.expireTimeMs, b, c?.state.expireTimeMs]).toEqual([-1, undefined, far]);
  });

  it("of every type come into another server as they are, streams with their groups and large values too", async () => {
    const other = await startValkey({ version: "8.0" });
    try {
      await fillEverything(server.endpoint);
      await ask("SETRANGE", "large", 30_000_000, "x");
      const { digest } = await fingerprint(server.endpoint);
      for (const database of [0, 3, 15]) {
        const found = (await send(server.endpoint, ["SELECT", database], ["KEYS", "*"])) as Buffer[];
        const keys = found.map((key) => key.toString("latin1"));
        const records = await valuesOf(server.endpoint, found, database);
        const all = found.map((key, at) => ({ key, from: undefined, to: records[at] }));
        const outcomes = await exchangeAt(other.endpoint, all, database);
        expect(outcomes).toEqual(keys.map(() => "DONE"));
        expect(await exchangeAt(other.endpoint, all, database)).toEqual(keys.map(() => "ALREADY"));
      }
      const copied = await fingerprint(other.endpoint);
      expect(copied.digest).toBe(digest);
    } finally {
      await other.stop();
    }
  });

  it("are changed only from the state that was expected", async () => {
    await ask("MSET", "as-expected", "old", "other", "theirs", "as-wished", "new");
    const outcomes = await exchange(
      change("as-expected", text("old").state, text("new", far)),
      change("other", text("old").state, text("new")),
      change("as-wished", text("old").state, text("new")),
      change("fresh", undefined, text("new")),
      change("missing", text("old").state, text("new")),
    );
    expect(outcomes).toEqual(["DONE", "CHANGED", "ALREADY", "DONE", "CHANGED"]);
    expect(String(await ask("MGET", "as-expected", "other", "as-wished", "fresh", "missing"))).toBe(
      "new,theirs,new,new,",
    );
    expect(await ask("PEXPIRETIME", "as-expected")).toBe(far);
  });

  it("go only from the state that was expected, and whatever it is where that is wished", async () => {
    await ask("MSET", "ours", "new", "changed", "theirs", "forced", "theirs");
    const outcomes = await exchange(
      change("ours", text("new").state, undefined),
      change("changed", text("new").state, undefined),
      change("forced", "ANY", undefined),
      change("gone", text("new").state, undefined),
    );
    expect(outcomes).toEqual(["DONE", "CHANGED", "DONE", "ALREADY"]);
    expect(await ask("EXISTS", "ours", "changed", "forced")).toBe(1);
  });

  it("that have another expiry are not as expected", async () => {
    await ask("SET", "a", "old", "PXAT", far);
    expect(await exchange(change("a", text("old").state, text("new")))).toEqual(["CHANGED"]);
  });

  it("that have expired since count as they were", async () => {
    const over = text("ours", Date.now() - 1000).state;
    expect(await exchange(change("a", over, text("before")))).toEqual(["DONE"]);
  });

  it("that a writer goes on writing lose none of its writes", async () => {
    const keys = Array.from({ length: 200 }, (_, n) => `key:${n}`);
    await ask("MSET", ...keys.flatMap((key) => [key, "old"]));
    let isOver = false;
    let written = 0;
    const writer = (async () => {
      while (!isOver) {
        await ask("APPEND", `key:${(written * 7) % 200}`, "+");
        written++;
      }
    })();
    const outcomes = await exchange(...keys.map((key) => change(key, text("old").state, text("new"))));
    isOver = true;
    await writer;
    expect(written).toBeGreaterThan(0);
    const values = String(await ask("MGET", ...keys)).split(",");
    const found = outcomes.map((outcome, at) => [outcome, values[at]?.replace(/\++$/, "")]);
    for (const [outcome, value] of found)
      expect([outcome, value]).toEqual([outcome, outcome === "DONE" ? "new" : "old"]);
    const appended = values.join("").replaceAll(/[^+]/g, "").length;
    const lost = written - appended;
    expect(lost).toBe(0);
  });

  it("into a server without memory are refused by name of that, and nothing of the transaction is done", async () => {
    await ask("CONFIG", "SET", "maxmemory", "1");
    await expect(exchange(change("a", undefined, text("b")), change("c", undefined, text("d")))).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringMatching(/ran out of memory at maxmemory 1/),
    });
    expect(await ask("EXISTS", "a", "c")).toBe(0);
  });

  it("come and go over TLS too, large ones in pieces", async () => {
    const secured = await startTlsValkey([]);
    const { pem: caCertificate } = secured.certificate;
    const tls = { transitEncryptionMode: "SERVER_AUTHENTICATION", caCertificate } as const;
    const instance = instanceAt(secured.endpoint, tls);
    try {
      await ask("SETRANGE", "large", 3_000_000, "x");
      await ask("SET", "small", "1");
      const records = await recordsOf(server.endpoint, ["large", "small"]);
      const all = ["large", "small"].map((key, at) => change(key, undefined, records[at]));
      const outcomes = await valkey.exchange(instance, all, options, calm());
      expect(outcomes.map(({ outcome, state }) => [outcome, state])).toEqual(
        records.map((record) => ["DONE", record?.state]),
      );
      let bytes = 0;
      for await (const piece of valkey.dump(instance, 0, [Buffer.from("large")], calm())) bytes += piece.bytes.length;
      expect(bytes).toBe(records[0]?.valueBytes);
    } finally {
      await secured.stop();
    }
  });

  it("of a database that the server lacks are refused, and not asked for again and again", async () => {
    const refusal = { code: "FAILED_PRECONDITION", message: expect.stringMatching(/has no database 16: raise/) };
    const looking = async () => {
      for await (const _ of valkey.dump(instanceAt(server.endpoint), 16, [Buffer.from("a")], calm()));
    };
    await expect(looking()).rejects.toMatchObject(refusal);
    await expect(exchangeAt(server.endpoint, [change("a", undefined, text("b"))], 16)).rejects.toMatchObject(refusal);
  });

  it("of a server that is killed meanwhile are UNAVAILABLE", async () => {
    const doomed = await startValkey({ version: "8.0" });
    const slow = async function* () {
      yield Uint8Array.of(0);
      await doomed.kill();
      yield new Uint8Array(1_000_000);
    };
    const record = { ...text("x"), valueBytes: 5_000_000, value: slow };
    const doing = valkey.exchange(instanceAt(doomed.endpoint), [change("a", undefined, record)], options, calm());
    await expect(doing).rejects.toMatchObject({ code: "UNAVAILABLE" });
    const looking = (async () => {
      for await (const _ of valkey.dump(instanceAt(doomed.endpoint), 0, [Buffer.from("a")], calm()));
    })();
    await expect(looking).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });

  it("that the ACL keeps from us are refused without their names", async () => {
    await ask("ACL", "SETUSER", "reader", "on", ">secret", "+@all", "-dump", "~*");
    const instance = instanceAt(server.endpoint, { authUser: "reader", authSecret: "secret:secret" });
    const failure = await valkey
      .exchange(instance, [change("secret-name", undefined, text("b"))], options, calm())
      .catch((error) => error);
    expect(failure).toMatchObject({ code: "PERMISSION_DENIED", message: expect.stringMatching(/lacks dump/) });
    expect(failure.message).not.toContain("secret-name");
  });
});

/** The same for keys of any bytes. */
async function valuesOf(endpoint: string, keys: readonly Buffer[], database: number): Promise<KeyRecord[]> {
  const found: KeyRecord[] = [];
  let open: { index: number; pieces: Buffer[]; type: number; expireTimeMs: number } | undefined;
  const close = () => {
    if (open !== undefined) found[open.index] = recordOf(open.type, open.pieces, open.expireTimeMs);
  };
  for await (const { bytes, ...piece } of valkey.dump(instanceAt(endpoint), database, keys, calm())) {
    if (piece.index !== open?.index) {
      close();
      open = { ...piece, pieces: [] };
    }
    open.pieces.push(Buffer.from(bytes));
  }
  close();
  return found;
}
