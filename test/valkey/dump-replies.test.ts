import { describe, expect, it } from "vitest";
import { dumpPayload } from "../../shared/rdb/payload.ts";
import { RdbStream } from "../../shared/rdb/rdb-stream.ts";
import { encodeString } from "../../shared/rdb/writer.ts";
import { DumpReplies } from "../../shared/valkey/scan/dump-replies.ts";
import { KeyBatch } from "../../shared/valkey/scan/key-batch.ts";
import { ReplyParser } from "../../shared/valkey/scan/reply-parser.ts";

/** A string as DUMP answers it. */
function payload(): Buffer {
  const value = encodeString("value");
  const { header, footer } = dumpPayload(0, value, "REDIS");
  return Buffer.concat([header, value, footer]);
}

/** What is written of one key whose transaction is answered with this payload. */
function written(bytes: Uint8Array, rdbVersion = 11): Buffer {
  const keys = new KeyBatch();
  keys.append(Buffer.from("key"), 0, 3);
  keys.close();
  const out = new RdbStream();
  const parser = new ReplyParser(new DumpReplies(keys, 0, 1, { out, rdbVersion }));
  const head = `+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:-1\r\n$${bytes.length}\r\n`;
  parser.push(Buffer.concat([Buffer.from(head), bytes, Buffer.from("\r\n")]));
  return Buffer.from(out.take());
}

describe("the value of a DUMP", () => {
  it("is written as a record of the file, without the footer", () => {
    expect(written(payload()).toString("latin1")).toBe("\0\u0003key\u0005value");
  });

  it("that has arrived damaged, wherever, is UNAVAILABLE: it is to be read again", () => {
    for (let at = 0; at < payload().length; at++) {
      const damaged = payload();
      damaged[at] = (damaged[at] ?? 0) ^ 1;
      expect(() => written(damaged)).toThrow(expect.objectContaining({ code: "UNAVAILABLE" }));
    }
  });

  it("that needs a newer version than the file was begun with is UNAVAILABLE", () => {
    expect(() => written(payload(), 0)).toThrow(/a value needs RDB version 1, the file was begun with 0/);
  });
});
