import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { AofReader } from "../../shared/aof/reader.ts";
import { StatusError } from "../../shared/error.ts";
import { cutAt } from "../rdb/files.ts";
import { entry, failure, log, preamble, readAll } from "./files.ts";

const remark = Buffer.from("#TS:1700000000\r\n");
const plain = Buffer.concat([
  remark,
  log("SELECT 3", "SET a 1", "MULTI", "INCR n", "SELECT 0", "rpush l 1 2", "EXEC", "DEL a"),
]);
const mixed = Buffer.concat([preamble(3), plain]);

describe("a reader of an AOF", () => {
  it("tells its commands, transactions, databases and the time of the last ones", () => {
    expect(readAll([plain])).toEqual({
      sizeBytes: plain.length,
      log: {
        startOffset: 0,
        endOffset: plain.length,
        commands: 4,
        transactions: 1,
        databases: [0, 3],
        largestArgumentBytes: 5,
        expires: 0,
        lastTime: 1_700_000_000,
      },
    });
  });

  it("keeps no more of a transaction that goes on for ever than of any other", () => {
    const commands = Array.from({ length: 10_001 }, (_, n) => entry("SELECT", `${n}`).toString() + entry("DEL", "a"));
    expect(failure([log("MULTI"), Buffer.from(commands.join(""))])).toMatchObject({
      code: "DATA_LOSS",
      message: expect.stringContaining("writes to more databases than a server has"),
    });
  });

  it("tells the preamble apart from the commands behind it", () => {
    const { base, log: found } = readAll([mixed]);
    expect(base).toMatchObject({ keys: 3, crc64: "ok", sizeBytes: mixed.length - plain.length });
    expect(found).toMatchObject({ startOffset: mixed.length - plain.length, endOffset: mixed.length, commands: 4 });
  });

  it("takes a preamble without commands for the RDB file that it is", () => {
    expect(readAll([preamble()])).toMatchObject({ base: { keys: 1 } });
    expect(readAll([preamble()]).log).toBeUndefined();
  });

  it("finds the same however it is cut", () => {
    const whole = readAll([mixed]);
    for (let at = 0; at <= mixed.length; at++) expect(readAll(cutAt(mixed, [at])), `cut at ${at}`).toEqual(whole);
    expect(readAll(cutAt(mixed, [...mixed.keys()]))).toEqual(whole);
    fc.assert(
      fc.property(fc.array(fc.nat(mixed.length)), (cuts) => {
        expect(
          readAll(
            cutAt(
              mixed,
              cuts.sort((a, b) => a - b),
            ),
          ),
        ).toEqual(whole);
      }),
    );
  });

  it("says wherever it ends early up to where it is whole, and counts nothing behind that", () => {
    const borders = [0, remark.length];
    for (const part of [["SELECT 3"], ["SET a 1"], ["MULTI", "INCR n", "SELECT 0", "rpush l 1 2", "EXEC"], ["DEL a"]])
      borders.push((borders.at(-1) ?? 0) + log(...part).length);
    for (let end = 1; end < plain.length; end++) {
      const endOffset = Math.max(...borders.filter((border) => border <= end));
      const { sizeBytes, log: found } = readAll([plain.subarray(0, end)]);
      expect([sizeBytes, found?.endOffset], `cut at ${end}`).toEqual([end, endOffset]);
      const isWhole = endOffset === 0 ? undefined : readAll([plain.subarray(0, endOffset)]).log;
      if (isWhole !== undefined) expect(found).toEqual(isWhole);
      else expect(found).toMatchObject({ commands: 0, transactions: 0, databases: [] });
    }
  });

  it("refuses a preamble that ends early as the RDB file that it is", () => {
    for (let end = 0; end < preamble().length; end++)
      expect(failure([preamble().subarray(0, end)])).toMatchObject({ code: "DATA_LOSS", offset: end });
  });

  it("counts a transaction only with its EXEC", () => {
    const torn = Buffer.concat([log("SET a 1"), log("MULTI", "SELECT 7", "SET b 2", "DEBUG RELOAD")]);
    const { log: found } = readAll([torn]);
    expect(found).toMatchObject({ endOffset: log("SET a 1").length, commands: 1, transactions: 0, databases: [0] });
    expect(found?.refused).toBeUndefined();
  });

  it("tells of a command that no restore sends where it stands, in a transaction too", () => {
    const before = log("SET a 1", "MULTI", "INCR n");
    const file = Buffer.concat([before, log("debug sleep 1", "EXEC", "SHUTDOWN")]);
    expect(readAll([file]).log?.refused).toEqual({ name: "DEBUG", offset: before.length });
  });

  it("counts the commands that may say when a key expires", () => {
    const file = log(
      "SET a 1 PXAT 1700000000000",
      "SET a 1 KEEPTTL",
      "PEXPIREAT a 1",
      "GETEX a PERSIST",
      "GETEX a EX 1",
    );
    expect(readAll([file]).log?.expires).toBe(3);
  });

  it("begins every file in database 0, whatever the one before had selected", () => {
    expect(readAll([log("SET a 1")]).log?.databases).toEqual([0]);
  });

  it("passes over an argument of 300 MB in constant memory", () => {
    const reader = new AofReader();
    const bytes = 300 * 2 ** 20;
    const chunk = new Uint8Array(2 ** 20).fill(0x2a);
    reader.write(Buffer.from(`*3\r\n$3\r\nSET\r\n$1\r\na\r\n$${bytes}\r\n`));
    const before = process.memoryUsage().arrayBuffers;
    for (let sent = 0; sent < bytes; sent += chunk.length) reader.write(chunk);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 20);
    reader.write(Buffer.from("\r\n"));
    expect(reader.end().log).toMatchObject({ commands: 1, largestArgumentBytes: bytes });
  });

  it("believes no count and no length: nothing is set aside for what a file only claims", () => {
    const before = process.memoryUsage().arrayBuffers;
    for (const claim of ["*2147483647\r\n", "*3\r\n$3\r\nSET\r\n$1099511627776\r\n", "*1\r\n$1099511627776\r\nxx"])
      expect(readAll([Buffer.from(claim)]).log).toMatchObject({ endOffset: 0, commands: 0 });
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 20);
  });

  it("tells that a name is no command's however long it is, and shows of it only what is a name", () => {
    const long = "X".repeat(5_000);
    for (const name of [long, "\x1b[31m", "", "SE", "SETSET", "\xd3ET"])
      for (const cuts of [[], [12], [100]]) {
        const file = entry(Buffer.from(name, "latin1"), "a", "b");
        expect(
          readAll(
            cutAt(
              file,
              cuts.filter((at) => at < file.length),
            ),
          ).log?.refused?.offset,
        ).toBe(0);
      }
    expect(readAll([entry("\x1b[31m")]).log?.refused).toEqual({ name: "a command without a proper name", offset: 0 });
  });

  const whole = log("SET a 1");
  it.each([
    ["an inline command", "SET a 1\r\n", 0],
    ["zeros, as a file system leaves them after a crash", "\0\0\0\0", 0],
    ["a count that is negative", "*-1\r\n", 1],
    ["a count of nothing", "*0\r\n", 0],
    ["a count that nobody could send", "*2147483648\r\n", 0],
    ["a count without an end", "*99999999999999", 14],
    ["a count without digits", "*\r\n", 1],
    ["a length that is negative", "*1\r\n$-1\r\n", 5],
    ["a length beyond every memory", "*1\r\n$1099511627777\r\n", 19],
    ["a line that ends in a line feed alone", "*1\n$3\r\nDEL\r\n", 2],
    ["something else than a length", "*1\r\n:3\r\n", 4],
    ["an argument longer than it says", "*1\r\n$2\r\nDEL\r\n", 10],
    ["an argument shorter than it says", "*2\r\n$4\r\nDEL\r\n$1\r\na\r\n", 12],
    ["a SELECT of no database", "*2\r\n$6\r\nSELECT\r\n$2\r\n-1\r\n", 0],
    ["a SELECT of a database beyond all", "*2\r\n$6\r\nSELECT\r\n$10\r\n9999999999\r\n", 0],
    ["an EXEC without its MULTI", "*1\r\n$4\r\nEXEC\r\n", 0],
    ["a MULTI within a transaction", "*1\r\n$5\r\nMULTI\r\n*1\r\n$5\r\nmulti\r\n", 15],
    ["a remark that has no end", `#TS:${"1".repeat(2_000)}`, 0],
  ])("calls %s damage, wherever it is cut, and says where", (_, text, offset) => {
    const file = Buffer.concat([whole, Buffer.from(text, "latin1"), whole]);
    for (let at = 0; at <= file.length; at++)
      expect(failure(cutAt(file, [at])), `cut at ${at}`).toMatchObject({
        code: "DATA_LOSS",
        offset: whole.length + offset,
      });
  });

  it.each([
    ["#!/bin/sh\n"],
    ["# settings"],
    ["#\n# of ours\n"],
    ["#TSx\n"],
  ])("takes no file for an AOF that begins with a remark that no server writes: %j", (text) => {
    const file = Buffer.concat([Buffer.from(text), log("SET a 1")]);
    for (let at = 0; at <= file.length; at++)
      expect(failure(cutAt(file, [at])), `cut at ${at}`).toMatchObject({ code: "DATA_LOSS", offset: 0 });
  });

  it("calls bytes behind an RDB file that begin no command damage of that file", () => {
    const { message, offset } = failure([preamble(), Buffer.from("PING\r\n")]);
    expect([message, offset]).toEqual([expect.stringContaining("bytes after the end"), preamble().length]);
  });

  it("goes on saying the same once it has met damage", () => {
    const reader = new AofReader();
    expect(() => reader.write(Buffer.from("*x"))).toThrow(/byte 1/);
    expect(() => reader.write(whole)).toThrow(/byte 1/);
    expect(() => reader.end()).toThrow(/byte 1/);
  });

  it("always decides on bytes that somebody has changed", () => {
    fc.assert(
      fc.property(fc.nat(mixed.length - 1), fc.nat(255), (at, byte) => {
        const changed = Buffer.from(mixed);
        changed[at] = byte;
        try {
          const { sizeBytes, log: found } = readAll([changed]);
          expect(found?.endOffset ?? 0).toBeLessThanOrEqual(sizeBytes);
        } catch (error) {
          expect(error).toBeInstanceOf(StatusError);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
