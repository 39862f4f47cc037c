import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { check } from "../../shared/rdb/check.ts";
import { originBytes, originOf } from "../../shared/rdb/origin.ts";

const files = ["redis-7.0", "redis-8.0", "valkey-8.0", "valkey-9.1"];
const read = (name: string) => readFileSync(join(import.meta.dirname, `../fixture/rdb/${name}.rdb`));

describe.each(files)("the beginning of a file of %s", (name) => {
  it("tells when it was written, as the whole file does", async () => {
    const { aux } = await check([read(name)]);
    expect(originOf(read(name).subarray(0, originBytes)).createSeconds).toBe(Number(aux.ctime));
  });

  it("tells less, and never something else, the earlier it is cut", () => {
    const whole = originOf(read(name));
    for (let length = 9; length < 200; length++) {
      const { createSeconds } = originOf(read(name).subarray(0, length));
      expect([undefined, whole.createSeconds]).toContain(createSeconds);
    }
  });
});

describe("the beginning of a file", () => {
  const aux = (name: string, value: string) =>
    Buffer.concat([
      Uint8Array.of(250, name.length),
      Buffer.from(name),
      Uint8Array.of(value.length),
      Buffer.from(value),
    ]);
  const file = (...fields: Buffer[]) => Buffer.concat([Buffer.from("REDIS0011"), ...fields, Uint8Array.of(255)]);

  it("tells the history that the file belongs to", () => {
    const fields = [aux("repl-id", "0123456789".repeat(4)), aux("repl-offset", "42"), aux("ctime", "7")];
    expect(originOf(file(...fields))).toEqual({
      replicationId: "0123456789".repeat(4),
      replicationOffset: 42,
      createSeconds: 7,
    });
  });

  it("is believed in nothing that cannot be", () => {
    expect(originOf(file(aux("repl-id", "x"), aux("repl-offset", "-1"), aux("ctime", "soon")))).toEqual({});
  });

  it("is damaged where a text claims to be as long as no memory is", () => {
    const bomb = Buffer.from([250, 1, 0x61, 0xc3, 2, 0x81, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0x61]);
    expect(() => originOf(file(bomb))).toThrow(expect.objectContaining({ code: "DATA_LOSS" }));
  });

  it.each(["", "REDIS", "PK\u0003\u0004 something else"])("is refused where it is that of no RDB file: %j", (text) => {
    expect(() => originOf(Buffer.from(text))).toThrow();
  });
});
