import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { batches, type Piece, type ReplayPlace } from "../../shared/aof/batches.ts";
import { cutAt } from "../rdb/files.ts";
import { entry, log } from "./files.ts";

const begin = { offset: 0, database: 0 };

/** The batches of a file, their bytes put together. */
async function batchesOf(chunks: Iterable<Uint8Array>, from: ReplayPlace, endOffset: number) {
  const found: { open: ReplayPlace; text: string; close: ReplayPlace; commands: number }[] = [];
  async function* source() {
    yield* chunks;
  }
  let open: ReplayPlace | undefined;
  let text = "";
  const take = (piece: Piece) => {
    if (piece.kind === "open") {
      expect(open).toBeUndefined();
      open = { offset: piece.offset, database: piece.database };
      text = "";
    } else if (piece.kind === "bytes") text += Buffer.from(piece.bytes).toString("latin1");
    else {
      if (open === undefined) throw new Error("a batch was closed that was not open");
      found.push({ open, text, close: { offset: piece.offset, database: piece.database }, commands: piece.commands });
      open = undefined;
    }
  };
  for await (const pieces of batches(source(), from, endOffset)) for (const piece of pieces) take(piece);
  expect(open).toBeUndefined();
  return found;
}

const file = Buffer.concat([
  Buffer.from("#TS:1700000000\r\n"),
  log("SELECT 3", "SET a 1", "MULTI", "INCR n", "SELECT 5", "EXEC"),
  Buffer.from("#TS:1700000001\r\n"),
  log("XGROUP CREATE s g 0", "DEL a"),
]);
const sent = log("SELECT 3", "SET a 1", "INCR n", "SELECT 5", "XGROUP CREATE s g 0", "DEL a").toString("latin1");

describe("the batches of an AOF", () => {
  it("are its commands as they stand there, without MULTI, EXEC and remarks", async () => {
    expect(await batchesOf([file], begin, file.length)).toEqual([
      { open: { offset: 16, database: 0 }, text: sent, close: { offset: file.length, database: 5 }, commands: 6 },
    ]);
  });

  it("are the same however the file is cut", async () => {
    const whole = await batchesOf([file], begin, file.length);
    for (let at = 0; at <= file.length; at++)
      expect(await batchesOf(cutAt(file, [at]), begin, file.length), `cut at ${at}`).toEqual(whole);
    expect(await batchesOf(cutAt(file, [...file.keys()]), begin, file.length)).toEqual(whole);
  });

  it("go on at the end of any of them as if there had been no break", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 60 }), async (kinds) => {
        const parts = kinds.map((kind, n) => {
          if (kind === 0) return log(`SELECT ${n}`);
          if (kind === 1) return entry("SET", `k${n}`, "v".repeat(100_000));
          if (kind === 2) return log("MULTI", `SELECT ${n}`, `INCR n${n}`, "EXEC");
          return log(`RPUSH l ${n}`);
        });
        const bytes = Buffer.concat(parts);
        const whole = await batchesOf([bytes], begin, bytes.length);
        for (const [n, { close }] of whole.entries())
          expect(await batchesOf([bytes.subarray(close.offset)], close, bytes.length)).toEqual(whole.slice(n + 1));
      }),
      { numRuns: 50 },
    );
  });

  it("have about a thousand commands, and no transaction in two of them", async () => {
    const many = log(...Array.from({ length: 2_500 }, (_, n) => `SET k${n} v`));
    expect((await batchesOf([many], begin, many.length)).map(({ commands }) => commands)).toEqual([1_000, 1_000, 500]);
    const transaction = Buffer.concat([log("SET a 1", "MULTI"), many, log("EXEC", "SET b 1")]);
    const found = await batchesOf([transaction], begin, transaction.length);
    expect(found.map(({ commands }) => commands)).toEqual([2_501, 1]);
  });

  it("are closed behind a large argument, which passes in pieces", async () => {
    const large = Buffer.concat([entry("SET", "a", "v".repeat(3_000_000)), log("SET b 1")]);
    const cuts = Array.from({ length: 40 }, (_, n) => n * 65_536);
    const found = await batchesOf(cutAt(large, cuts), begin, large.length);
    expect(found.map(({ commands, text }) => [commands, text.length])).toEqual([
      [1, large.length - log("SET b 1").length],
      [1, log("SET b 1").length],
    ]);
  });

  it("are none of a file without commands", async () => {
    expect(await batchesOf([Buffer.from("#TS:1\r\n")], begin, 7)).toEqual([]);
    expect(await batchesOf([], begin, 0)).toEqual([]);
  });

  it.each([
    ["a torn command", log("SET a 1").subarray(0, -1), /whole command/],
    ["an open transaction", log("MULTI", "SET a 1"), /whole command/],
    ["a command that is refused", log("SET a 1", "SHUTDOWN"), /SHUTDOWN is no command/],
  ])("are not made of %s", async (_, bytes, message) => {
    await expect(batchesOf([bytes], begin, bytes.length)).rejects.toThrow(message);
  });
});
