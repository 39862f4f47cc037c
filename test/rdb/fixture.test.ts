import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { crc64 } from "../../shared/rdb/crc64.ts";
import type { RdbEntry, RdbRecord } from "../../shared/rdb/entry.ts";
import { dumpPayload, RunningPayload } from "../../shared/rdb/payload.ts";
import { records } from "../../shared/rdb/records.ts";
import { readAll } from "./files.ts";

/** What the server said of its own file: see test/fixture/rdb/make.ts. */
type Sidecar = {
  functions: number;
  databases: Record<string, Record<string, { type: string; expireTimeMs: number; dump: string }>>;
};

const folder = join(import.meta.dirname, "../fixture/rdb");
const names = readdirSync(folder).flatMap((file) => (file.endsWith(".rdb") ? [file.slice(0, -4)] : []));

describe.each(names)("the file that %s wrote", (name) => {
  const file = readFileSync(join(folder, `${name}.rdb`));
  const sidecar = JSON.parse(readFileSync(join(folder, `${name}.json`), "utf8")) as Sidecar;
  const summary = readAll([file]);
  const expected = Object.entries(sidecar.databases).flatMap(([db, keys]) =>
    Object.entries(keys).map(([key, described]) => ({ db: Number(db), key, ...described })),
  );

  it("has a right checksum", () => {
    expect(summary.crc64).toBe("ok");
  });

  it("holds as many keys of each type, expiries and functions as the server said", () => {
    const databases: typeof summary.databases = {};
    for (const { db, type, expireTimeMs } of expected) {
      databases[db] ??= { keys: 0, expires: 0, types: {} };
      const database = databases[db];
      database.keys++;
      if (expireTimeMs !== -1) database.expires++;
      database.types[type] = (database.types[type] ?? 0) + 1;
    }
    expect(summary).toMatchObject({ databases, functions: sidecar.functions, keys: expected.length });
  });

  it("tells which server wrote it", () => {
    expect(summary.aux["valkey-ver"] ?? summary.aux["redis-ver"]).toContain(name.split("-")[1]);
  });

  it("gives every key with its expiry and frequency", async () => {
    const found = (await recordsOf(file)).map(({ db, key, expireTimeMs }) => [
      db,
      Buffer.from(key).toString("base64"),
      expireTimeMs,
    ]);
    expect(found.sort()).toEqual(expected.map(({ db, key, expireTimeMs }) => [db, key, expireTimeMs]).sort());
    expect((await recordsOf(file)).every(({ freq }) => freq !== undefined)).toBe(true);
  });

  it("gives the payloads that DUMP gave, but for the version in their footer", async () => {
    const dumps = new Map(expected.map(({ db, key, dump }) => [`${db} ${key}`, Buffer.from(dump, "base64")]));
    for (const { db, key, type, value = new Uint8Array(0) } of await recordsOf(file)) {
      const dump = dumps.get(`${db} ${Buffer.from(key).toString("base64")}`) ?? Buffer.alloc(10);
      const { header, footer } = dumpPayload(type, value, summary.magic);
      expect(Buffer.concat([header, value]).toString("hex")).toBe(dump.subarray(0, -10).toString("hex"));
      expect(footer.length).toBe(10);
      expect(footer[0]).toBeLessThanOrEqual(summary.rdbVersion);
      expect(dump.readBigUInt64LE(dump.length - 8)).toBe(crc64(dump.subarray(0, -8)));
      expect(Buffer.from(footer).readBigUInt64LE(2)).toBe(crc64(Buffer.concat([header, value, footer.subarray(0, 2)])));
    }
  });
});

describe("a payload", () => {
  it("is what DUMP of an older server gives, where the type needs its version", () => {
    // DUMP of a small hash of Redis 7.0.15, whose RDB version is 10.
    const dump = Buffer.from("EBERAAAABACBYQIBAYFiAgIB/woAPkBjbI9ddpo=", "base64");
    const value = dump.subarray(1, -10);
    const { header, footer } = dumpPayload(16, value, "REDIS");
    expect(Buffer.concat([header, value, footer]).toString("hex")).toBe(dump.toString("hex"));
  });

  it.each([
    [0, "REDIS", 1],
    [5, "VALKEY", 1],
    [18, "VALKEY", 10],
    [20, "REDIS", 11],
    [21, "VALKEY", 11],
    [22, "VALKEY", 80],
    [24, "REDIS", 12],
  ] as const)("of type %i in a %s file has the version %i", (type, magic, version) => {
    expect([...dumpPayload(type, Buffer.from("x"), magic).footer.subarray(0, 2)]).toEqual([version, 0]);
  });

  it("is the same in pieces", () => {
    const value = Buffer.alloc(100_000, "valkey");
    const running = new RunningPayload(0, "VALKEY");
    for (let at = 0; at < value.length; at += 777) running.update(value.subarray(at, at + 777));
    expect({ header: running.header, footer: running.footer() }).toEqual(dumpPayload(0, value, "VALKEY"));
  });

  it("of a type of the other family is refused", () => {
    expect(() => dumpPayload(24, Buffer.from("x"), "VALKEY")).toThrow(
      expect.objectContaining({ code: "UNIMPLEMENTED" }),
    );
  });
});

async function recordsOf(file: Uint8Array): Promise<RdbRecord[]> {
  const entries: RdbEntry[] = [];
  for await (const batch of records([file])) entries.push(...batch);
  return entries.filter((entry) => entry.kind === "record");
}
