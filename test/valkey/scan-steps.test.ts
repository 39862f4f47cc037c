import { afterEach, describe, expect, it, vi } from "vitest";
import { startValkey, type ValkeyRelease, type ValkeyServer } from "../../infra/local/valkey-server.ts";
import type { Instance } from "../../shared/backup/backup.ts";
import { Checkpoints } from "../../shared/valkey/scan/checkpoints.ts";
import { send } from "./client.ts";
import { instanceAt } from "./fixture.ts";
import { type Relay, startRelay } from "./relay.ts";
import { recordsOf, scanInPieces, scanOf } from "./scanned.ts";

/** What happens at a server between two commands of a scan. */
const started: { stop(): Promise<void> }[] = [];

afterEach(async () => {
  vi.restoreAllMocks();
  for (const one of started.splice(0).reverse()) await one.stop();
});

async function start(version: ValkeyRelease, args: string[] = []): Promise<ValkeyServer> {
  const server = await startValkey({ version, args });
  started.push(server);
  return server;
}

async function between(server: ValkeyServer, before: (words: string[]) => Promise<void>): Promise<Relay> {
  const relay = await startRelay(server.endpoint, before);
  started.push(relay);
  return relay;
}

const farFuture = 4_102_444_800_000;
const patience = () => new Promise((resolve) => setTimeout(resolve, 50));

/** One call of SCAN. */
async function calledAt(server: ValkeyServer, cursor: string): Promise<{ cursor: string; keys: string[] }> {
  const answer = await send(server.endpoint, ["SCAN", cursor, "COUNT", 1000]);
  const [next, keys] = answer as [Buffer, Buffer[]];
  return { cursor: String(next), keys: keys.map(String) };
}

/** The whole file of a server. */
type Scan = (instance: Instance) => Promise<Uint8Array>;

/** Scans keys of this prefix while most of them go, and answers whether SCAN then named one again that it had named before. */
async function repeats(server: ValkeyServer, prefix: string, scan: Scan): Promise<boolean> {
  await send(server.endpoint, ["FLUSHALL"], ["DEBUG", "POPULATE", 3_000, prefix, 10]);
  let left: string[] = [];
  let isAgain = false;
  const relay = await between(server, async ([name, cursor = ""]) => {
    if (name !== "SCAN" || cursor === "0" || left.length > 0) return;
    const { keys } = await calledAt(server, "0");
    left = keys.slice(-50);
    const all = Array.from({ length: 3_000 }, (_, n) => `${prefix}:${n}`);
    await send(server.endpoint, ["DEL", ...all.filter((key) => !left.includes(key))]);
    // The table shrinks in the server's own time.
    for (let look = 0; look < 20 && !isAgain; look++) {
      isAgain = (await calledAt(server, cursor)).keys.some((key) => left.includes(key));
      if (!isAgain) await patience();
    }
  });
  const found = await recordsOf(await scan(instanceAt(relay.endpoint)));
  expect(left.length).toBe(50);
  expect(left.filter((key) => !found.has(`0/${key}`))).toEqual([]);
  return isAgain;
}

describe.each(["8.0", "8.1", "9.1", "redis-7.0"] as const)("a scan of %s", (version) => {
  it("holds every key of a keyspace that is larger than what is remembered", { timeout: 30_000 }, async () => {
    const server = await start(version);
    await send(server.endpoint, ["DEBUG", "POPULATE", 280_000, "key", 1]);
    expect((await recordsOf(await scanOf(instanceAt(server.endpoint)))).size).toBe(280_000);
    const calls = /cmdstat_scan:calls=(\d+)/.exec(String(await send(server.endpoint, ["INFO", "commandstats"])))?.[1];
    expect(Number(calls)).toBeGreaterThan(300); // some of them went between two probes
  });

  it("takes expiry and value of a key from the same moment, whatever is written between the two questions", async () => {
    const server = await start(version);
    await send(server.endpoint, ["SET", "pair", "1", "PXAT", farFuture + 1]);
    const relay = await between(server, async ([name]) => {
      if (name !== "DUMP") return;
      await patience(); // the server has read the question before
      await send(server.endpoint, ["SET", "pair", "2", "PXAT", farFuture + 2]);
    });
    const pair = (await recordsOf(await scanOf(instanceAt(relay.endpoint)))).get("0/pair");
    // 192: an integer of one byte (rdb.h, RDB_ENC_INT8).
    expect([pair?.expireTimeMs, ...(pair?.value ?? [])]).toEqual([farFuture + 2, 192, 2]);
  });

  it.each<[string, number, Scan]>([
    ["two calls", 2, (instance) => scanOf(instance)],
    ["two deliveries", 1, async (instance) => Buffer.concat(await scanInPieces(instance, 1))],
  ])(
    "writes a key once that SCAN names twice, because the table shrank between %s",
    async (_, wanted, scan) => {
      const server = await start(version);
      // Where keys stand in a table is up to the server's seed and their names: with some names none comes again.
      const prefixes = Array.from({ length: 10 }, (__, n) => `key${n}`);
      let haveRepeated = 0;
      for (const prefix of prefixes) if (haveRepeated < wanted && (await repeats(server, prefix, scan))) haveRepeated++;
      expect(haveRepeated).toBe(wanted);
    },
    60_000,
  );
});

it("a scan notes where the keys of each call end in the file, to the byte, for another call to read them again", async () => {
  const server = await start("8.0", ["--rdbcompression", "no"]);
  await send(server.endpoint, ["DEBUG", "POPULATE", 60_000, "key", 300]);
  const relay = await between(server, async () => undefined);
  const reached = vi.spyOn(Checkpoints.prototype, "reached");
  const file = await scanOf(instanceAt(relay.endpoint));
  let startOffset: number | undefined;
  for (const [, keys, endOffset] of reached.mock.calls) {
    const stretch = { startOffset, endOffset, db: 0, magic: "REDIS", rdbVersion: 11 } as const;
    if (startOffset !== undefined)
      expect((await recordsOf(file.subarray(startOffset, endOffset), { ...stretch, startOffset })).size).toBe(keys);
    startOffset = endOffset;
  }
  expect(reached.mock.calls.length).toBeGreaterThan(50);
}, 60_000);

it("a scan asks for few values of the next database before it has seen how large they are", async () => {
  const server = await start("8.0");
  await send(server.endpoint, ["DEBUG", "POPULATE", 20_000, "key", 10], ["SELECT", 1]);
  await send(server.endpoint, ["SELECT", 1], ["DEBUG", "POPULATE", 500, "key", 10]);
  let hasSelected = false;
  let isSilent = false;
  let asked = 0;
  const relay = await between(server, async ([name, database]) => {
    if (name === "SELECT" && database === "1") hasSelected = true;
    else if (hasSelected && name === "DUMP") asked++;
    else if (hasSelected && name === "EXEC" && !isSilent) {
      isSilent = true;
      relay.silence(300);
      setTimeout(() => {
        askedInSilence = asked;
      }, 250);
    }
  });
  let askedInSilence = 0;
  expect((await recordsOf(await scanOf(instanceAt(relay.endpoint)))).size).toBe(20_500);
  expect(askedInSilence).toBeGreaterThan(0);
  expect(askedInSilence).toBeLessThanOrEqual(32);
});
