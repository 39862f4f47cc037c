import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startValkey, type ValkeyServer } from "../../infra/local/valkey-server.ts";
import type { LoadMark, LoadSource, LoadStretch } from "../../shared/pipeline/ports.ts";
import { collect } from "../../shared/pipeline/stream.ts";
import { crc64 } from "../../shared/rdb/crc64.ts";
import type { RdbRecord } from "../../shared/rdb/entry.ts";
import { records } from "../../shared/rdb/records.ts";
import { createValkey } from "../../shared/valkey/index.ts";
import { type Fingerprint, fingerprint } from "../fixture/dataset.ts";
import { send } from "./client.ts";
import {
  atHalf,
  calm,
  diskless,
  everything,
  firstAttempt,
  instanceAt,
  signal,
  snapshotOf,
  sourceOf,
  valkey,
} from "./fixture.ts";
import { startTlsValkey } from "./tls-server.ts";

let file: LoadSource;
let original: Fingerprint;
let target: ValkeyServer;

beforeAll(async () => {
  ({ file, original } = await everything());
  target = await startValkey({ version: "8.0" });
});
afterAll(() => target?.stop());
beforeEach(() => send(target.endpoint, ["FLUSHALL"], ["FUNCTION", "FLUSH"], ["CONFIG", "SET", "maxmemory", "0"]));

describe("a load", () => {
  it("makes the target equal to the source: digest, types, expiries, streams with their groups, functions", async () => {
    await load(file);
    expect(await fingerprint(target.endpoint)).toEqual(original);
  });

  it("answers what it created, by database", async () => {
    const each = { keys: 640, expires: 206 };
    expect(await load(file)).toEqual({
      databases: { 0: each, 3: each, 15: each },
      expiredKeys: 0,
      soonExpiredKeys: 0,
      functions: 2,
    });
  });

  it("creates no key whose time is at or before now, and counts it", async () => {
    // The file's first many:* expire at 4102444800123 (many:0), +3 (many:3), +6 …; others at +0 to +4.
    const now = 4_102_444_800_123;
    const result = await load(file, { ...firstAttempt, now: () => now });
    const left = String(await send(target.endpoint, ["INFO", "keyspace"]));
    expect({ result, left }).toEqual({
      // Three of each database: expires:far, expires:at-a-second, many:0.
      result: { databases: counts(637, 203), expiredKeys: 9, soonExpiredKeys: 609, functions: 2 },
      left: expect.stringMatching(/db0:keys=637,expires=203.*db3:keys=637,expires=203.*db15:keys=637,expires=203/s),
    });
  });

  it("takes a key that expires later than any number says", async () => {
    await send(target.endpoint, ["SET", "late", "v", "PXAT", "4611686018427387904"]);
    const remote = await sourceOf(await snapshotOf(target.endpoint));
    await send(target.endpoint, ["FLUSHALL"]);
    expect(await load(remote)).toMatchObject({ databases: { 0: { keys: 1, expires: 1 } } });
    expect(String(await send(target.endpoint, ["PEXPIRETIME", "late"]))).toBe("9000000000000000");
  });

  it("tells its progress in bytes of the file, up to the last", async () => {
    const progress: number[] = [];
    await load(file, { ...firstAttempt, onProgress: ({ offset }: LoadMark) => progress.push(offset) });
    expect(progress).toEqual([...progress].sort((one, other) => one - other));
    expect(progress.at(-1)).toBe(file.facts.sizeBytes);
  });

  it("reads the same whatever the pieces of the source", async () => {
    await load(inPieces(file, 1_009));
    expect((await fingerprint(target.endpoint)).digest).toBe(original.digest);
  });

  it("refuses a key that is there already, without naming it", async () => {
    await send(target.endpoint, ["SELECT", "3"], ["SET", "string:short", "somebody's"]);
    const failure = await load(file).catch((error) => error);
    expect(failure).toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringMatching(/^(?!.*string:short).*has a key already: someone else writes there/),
    });
  });

  it("refuses a function that is there already", async () => {
    const library = "#!lua name=tiny\nredis.register_function('other', function() return 1 end)";
    await send(target.endpoint, ["FUNCTION", "LOAD", library]);
    await expect(load(file)).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringContaining("has a function of the file already"),
    });
  });

  it("overwrites what an earlier attempt has left", async () => {
    await load(file);
    await load(file, { ...firstAttempt, epoch: 2, replace: true });
    expect(await fingerprint(target.endpoint)).toEqual(original);
  });

  it("is refused when the target is out of memory, and says the limit", async () => {
    await send(target.endpoint, ["CONFIG", "SET", "maxmemory", "1500000"]);
    await expect(load(file)).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringContaining("ran out of memory at maxmemory 1500000"),
    });
  });

  it("is DATA_LOSS when the file is damaged", async () => {
    const damaged = { ...file, read: () => [Buffer.from("REDIS0011\xff damaged", "latin1")] as never };
    await expect(load(damaged)).rejects.toMatchObject({ code: "DATA_LOSS" });
  });

  it("passes on what the source throws", async () => {
    const broken = new Error("the bucket is gone");
    const source = atHalf(file, () => Promise.reject(broken));
    await expect(load(source)).rejects.toBe(broken);
  });

  it("ends at once, with the signal's reason, when it is aborted", async () => {
    const controller = new AbortController();
    const source = atHalf(file, () => controller.abort("enough"));
    await expect(valkey.load(instanceAt(target.endpoint), source, firstAttempt, controller.signal)).rejects.toBe(
      "enough",
    );
  });

  it("ends at once, with the signal's reason, when it is aborted while the target is silent", async () => {
    const controller = new AbortController();
    await send(target.endpoint, ["CLIENT", "PAUSE", "60000", "WRITE"]);
    setTimeout(() => controller.abort("enough"), 200);
    const loading = valkey.load(instanceAt(target.endpoint), file, firstAttempt, controller.signal);
    await expect(loading).rejects.toBe("enough");
    await send(target.endpoint, ["CLIENT", "UNPAUSE"]);
  });

  it("leaves no connection behind, done or failed", async () => {
    await load(file);
    await load(file).catch(() => undefined);
    const names = async () => String(await send(target.endpoint, ["CLIENT", "LIST"])).match(/name=valkeep-\S*/g);
    await expect.poll(names).toBeNull();
  });

  it("goes the same over TLS", async () => {
    const secured = await startTlsValkey(["--enable-debug-command", "yes"]);
    const { pem: caCertificate } = secured.certificate;
    const instance = instanceAt(secured.endpoint, { transitEncryptionMode: "SERVER_AUTHENTICATION", caCertificate });
    const result = await valkey.load(instance, file, firstAttempt, calm()).finally(secured.stop);
    expect(result.databases).toEqual(counts(640, 206));
  });
});

describe("a load into", () => {
  let other: ValkeyServer;
  afterEach(() => other?.stop());

  it("a server that is killed in the middle is UNAVAILABLE", async () => {
    other = await startValkey({ version: "8.0" });
    const source = atHalf(file, () => signal(other, "SIGKILL"));
    await expect(valkey.load(instanceAt(other.endpoint), source, firstAttempt, calm())).rejects.toMatchObject({
      code: "UNAVAILABLE",
      message: expect.stringContaining(other.endpoint),
    });
  });

  it("a server that stalls is UNAVAILABLE", async () => {
    other = await startValkey({ version: "8.0" });
    const impatient = createValkey({ resolveSecret: async () => "", silenceMs: 400 });
    const source = atHalf(file, () => signal(other, "SIGSTOP"));
    const loading = impatient.load(instanceAt(other.endpoint), source, firstAttempt, calm());
    await expect(loading.finally(() => signal(other, "SIGCONT"))).rejects.toMatchObject({
      code: "UNAVAILABLE",
      message: expect.stringContaining("answered nothing for 0.4 s"),
    });
  });

  it("a replica is refused", async () => {
    other = await startValkey({ version: "8.0", args: ["--replicaof", `127.0.0.1 ${target.port}`] });
    await expect(valkey.load(instanceAt(other.endpoint), file, firstAttempt, calm())).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringContaining("read-only replica"),
    });
  });

  it("a server with too few databases is refused", async () => {
    other = await startValkey({ version: "8.0", args: ["--databases", "4"] });
    await expect(valkey.load(instanceAt(other.endpoint), file, firstAttempt, calm())).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringContaining("lacks a database"),
    });
  });
});

describe("a load of a stretch", () => {
  /** Its 640 keys of database 3, cut out of the file by the borders of its records. */
  async function stretchOf(of: LoadSource): Promise<LoadStretch & { endOffset: number }> {
    const bytes = await collect(of.read({ start: 0 }, calm()));
    const found: RdbRecord[] = [];
    for await (const batch of records([bytes])) found.push(...batch.filter((entry) => entry.kind === "record"));
    const [first, last] = [found.find(({ db }) => db === 3), found.findLast(({ db }) => db === 3)];
    const [startOffset = 0, endOffset = 0] = [first?.offset, last?.valueEnd];
    const crcTo = (end: number) => crc64(bytes.subarray(0, end)).toString(16).padStart(16, "0");
    return { startOffset, endOffset, database: 3, crc64: { before: crcTo(startOffset), after: crcTo(endOffset) } };
  }

  it("writes its keys and no others, into the database that is selected there", async () => {
    const stretch = await stretchOf(file);
    const marks: LoadMark[] = [];
    const result = await load({ ...file, stretch }, { ...firstAttempt, onProgress: (mark) => marks.push(mark) });
    expect(result).toEqual({
      databases: { 3: { keys: 640, expires: 206 } },
      expiredKeys: 0,
      soonExpiredKeys: 0,
      functions: 0,
    });
    expect((await fingerprint(target.endpoint)).databases).toEqual({ 3: original.databases[3] });
    expect(marks.at(-1)).toMatchObject({ offset: stretch.endOffset, crc64: stretch.crc64?.after, result });
  });

  it("reaches to the end of the file, whose own checksum is compared, where it has no end", async () => {
    const { endOffset: startOffset, crc64: sums } = await stretchOf(file);
    const crc = { before: sums?.after ?? "", after: "" };
    const stretch = { startOffset, database: 3, crc64: crc };
    expect(Object.keys((await load({ ...file, stretch })).databases)).toEqual(["15"]);
    await send(target.endpoint, ["FLUSHALL"]);
    const wrong = { ...stretch, crc64: { ...crc, before: "0000000000000001" } };
    await expect(load({ ...file, stretch: wrong })).rejects.toMatchObject({ code: "DATA_LOSS" });
  });

  it("is DATA_LOSS, with the offset of its end, when its bytes are not those that were checked", async () => {
    const stretch = await stretchOf(file);
    const after = `${stretch.crc64?.after}`.replace(/.$/, (digit) => (digit === "0" ? "1" : "0"));
    const crc = { before: stretch.crc64?.before ?? "", after };
    await expect(load({ ...file, stretch: { ...stretch, crc64: crc } })).rejects.toMatchObject({
      code: "DATA_LOSS",
      offset: stretch.endOffset,
    });
  });

  it("that was answered to its end has nothing more to do", async () => {
    const stretch = await stretchOf(file);
    const marks: LoadMark[] = [];
    const result = await load({ ...file, stretch }, { ...firstAttempt, onProgress: (mark) => marks.push(mark) });
    const silent = { ...file, stretch, read: () => Promise.reject(new Error("read again")) as never };
    const from = marks.at(-1);
    expect(await load(silent, { ...firstAttempt, epoch: 2, ...(from && { from }) })).toEqual(result);
  });

  it("begins anew where the server has been started again since the mark, as it may have lost what it had answered", async () => {
    const marks: LoadMark[] = [];
    const result = await load(file, { ...firstAttempt, onProgress: (mark) => marks.push(mark) });
    const last = marks.at(-1);
    await send(target.endpoint, ["FLUSHALL"], ["FUNCTION", "FLUSH"]);
    const again = { ...firstAttempt, epoch: 2, replace: true, ...(last && { from: { ...last, runId: "another" } }) };
    expect(await load(file, again)).toEqual(result);
    expect((await fingerprint(target.endpoint)).digest).toBe(original.digest);
  });
});

describe("what an eviction policy remembers of a key is kept:", () => {
  it.each([
    ["the time since its last use", "allkeys-lru", "IDLETIME", 1_000],
    ["how often it is used", "allkeys-lfu", "FREQ", 77],
  ])("%s", async (_what, policy, word, value) => {
    const args = [...diskless, "--maxmemory-policy", policy];
    const servers = [await startValkey({ version: "8.0", args }), await startValkey({ version: "8.0", args })] as const;
    try {
      const [source, twin] = servers.map(({ endpoint }) => endpoint) as [string, string];
      const dump = (await send(source, ["SET", "key", "value"], ["DUMP", "key"])) as Buffer;
      await send(source, ["RESTORE", "key", 0, dump, "REPLACE", word, value]);
      await valkey.load(instanceAt(twin), await sourceOf(await snapshotOf(source)), firstAttempt, calm());
      // Time goes on, and an idle key's frequency decays.
      expect(Number(await send(twin, ["OBJECT", word, "key"]))).toSatisfy(
        (found: number) => Math.abs(found - value) < 30,
      );
    } finally {
      for (const server of servers) await server.stop();
    }
  });
});

function load(source: LoadSource, options: Parameters<typeof valkey.load>[2] = firstAttempt) {
  return valkey.load(instanceAt(target.endpoint), source, options, calm());
}

function counts(keys: number, expires: number) {
  return { 0: { keys, expires }, 3: { keys, expires }, 15: { keys, expires } };
}

function inPieces(source: LoadSource, pieceBytes: number): LoadSource {
  return {
    ...source,
    async *read(range, signal) {
      for await (const piece of source.read(range, signal)) {
        for (let at = 0; at < piece.length; at += pieceBytes) yield piece.subarray(at, at + pieceBytes);
      }
    },
  };
}
