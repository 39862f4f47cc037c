import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { encodeLength, encodeString, type RdbItem, writeRdb } from "../../shared/rdb/writer.ts";
import { createWorld, inbox } from "../pipeline/world.ts";
import { type Outcome, valkeep } from "./terminal.ts";

const value = encodeString("value");
const items: RdbItem[] = [
  { kind: "function", code: Buffer.from("#!lua name=one\n") },
  { kind: "record", db: 0, key: Buffer.from("l"), type: 1, value: Buffer.concat([encodeLength(1), value]) },
  { kind: "record", db: 0, key: Buffer.from("a"), type: 0, value },
  { kind: "record", db: 0, key: Buffer.from("b"), type: 0, value, expireTimeMs: 4_000_000_000_000 },
  { kind: "record", db: 3, key: Buffer.from("c"), type: 0, value },
];
const good = writeRdb({ magic: "VALKEY", rdbVersion: 80 }, items);

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "valkeep-cli-"));
});
afterAll(() => rm(directory, { recursive: true }));

async function check(bytes: Uint8Array, flags = ""): Promise<Outcome> {
  const file = join(directory, "dump.rdb");
  await writeFile(file, bytes);
  return await valkeep(`rdb check ${file} ${flags}`);
}

const report = {
  magic: "VALKEY",
  rdbVersion: 80,
  crc64: "ok",
  sizeBytes: good.length,
  keys: 4,
  expires: 1,
  functions: 1,
  databases: {
    "0": { keys: 3, expires: 1, types: { string: 2, list: 1 } },
    "3": { keys: 1, expires: 0, types: { string: 1 } },
  },
};

describe("rdb check", () => {
  it("tells what is in a file, its fields in one order", async () => {
    const { exitCode, stdout } = await check(good, "--json");
    expect(exitCode).toBe(0);
    expect(stdout).toBe(`${JSON.stringify(report, null, 2)}\n`);
  });

  it("tells it to people", async () => {
    const { stdout } = await check(good);
    expect(stdout.split("\n")).toEqual([
      `VALKEY 80, ${good.length} B (${good.length} bytes), CRC64 ok`,
      "4 keys, 1 of them with an expiry, 1 function libraries",
      "database 0: 3 keys, 1 with an expiry: 2 string, 1 list",
      "database 3: 1 keys, 0 with an expiry: 1 string",
      "",
    ]);
  });

  it("says that a file without a checksum has none", async () => {
    const { stdout } = await check(writeRdb({ magic: "REDIS", rdbVersion: 11, hasChecksum: false }, items), "--json");
    expect(JSON.parse(stdout)).toMatchObject({ magic: "REDIS", rdbVersion: 11, crc64: "absent" });
  });

  it("reads standard input", async () => {
    const { exitCode, stdout } = await valkeep("rdb check - --json", { input: good });
    expect([exitCode, JSON.parse(stdout)]).toEqual([0, report]);
  });

  it("reads an object of a bucket", async () => {
    const { ports } = createWorld();
    async function* source() {
      yield good;
    }
    await ports.objects.create(inbox, "orders/dump.rdb", source(), {});
    const { stdout } = await valkeep(`rdb check gs://${inbox}/orders/dump.rdb --json`, { ports });
    expect(JSON.parse(stdout)).toEqual(report);
  });

  it.each([
    ["a flipped byte", good.map((byte, i) => (i === 30 ? byte ^ 1 : byte))],
    ["a truncated file", good.subarray(0, -1)],
    ["an empty file", new Uint8Array()],
    ["a file that is no RDB", Buffer.from("PK\u0003\u0004 this is a zip file")],
  ])("calls %s damaged and says where", async (_, bytes) => {
    const { exitCode, stdout } = await check(bytes, "--json");
    expect(exitCode).toBe(1);
    expect(JSON.parse(stdout)).toEqual({
      error: { code: "DATA_LOSS", message: expect.stringContaining("byte"), offset: expect.any(Number) },
    });
  });

  it("gives the same code for a damaged file without --json, and nothing on standard output", async () => {
    const { exitCode, stdout, stderr } = await check(good.subarray(0, 20));
    expect([exitCode, stdout]).toEqual([1, ""]);
    expect(stderr).toMatch(/^RDB file damaged at byte \d+: .*\(DATA_LOSS\)\n$/);
  });

  it("clears its progress line where somebody watches", async () => {
    const { exitCode, stdout, stderr } = await valkeep("rdb check - --json", { input: good, isTerminal: true });
    expect([exitCode, JSON.parse(stdout), stderr]).toEqual([0, report, "\r\u001b[K"]);
  });

  it("refuses a file that is not there", async () => {
    const { exitCode, stderr } = await valkeep(`rdb check ${directory}/nothing.rdb`);
    expect([exitCode, stderr]).toEqual([3, `there is no file ${directory}/nothing.rdb (NOT_FOUND)\n`]);
  });

  it("refuses an object that is not there", async () => {
    const { exitCode } = await valkeep(`rdb check gs://${inbox}/nothing.rdb`, { ports: createWorld().ports });
    expect(exitCode).toBe(3);
  });
});
