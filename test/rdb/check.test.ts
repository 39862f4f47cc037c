import { describe, expect, it } from "vitest";
import { check, checked } from "../../shared/rdb/check.ts";
import { factsOf } from "../../shared/rdb/facts.ts";
import type { RdbSummary } from "../../shared/rdb/summary.ts";
import { cutAt, fileOfEverything, readAll } from "./files.ts";

const file = fileOfEverything("VALKEY");

describe("checking a file", () => {
  it("tells its summary", async () => {
    expect(await check(cutAt(file, [10, 1000]))).toEqual(readAll([file]));
  });

  it("keeps of the summary what a catalogue needs", () => {
    const facts = factsOf(readAll([file]));
    expect(facts.usedMemoryBytes).toBe(2 ** 20);
    expect(Object.keys(facts)).not.toContain("aux");
  });
});

describe("a file that is checked on its way", () => {
  it("passes as it is, and its summary is told before it ends", async () => {
    const told: RdbSummary[] = [];
    const passed: Uint8Array[] = [];
    for await (const chunk of checked(cutAt(file, [7, 5000]), (summary) => told.push(summary))) {
      passed.push(Uint8Array.from(chunk));
      expect(told).toEqual([]);
    }
    expect(Buffer.concat(passed).equals(file)).toBe(true);
    expect(told).toEqual([readAll([file])]);
  });

  it.each([
    ["is cut", file.subarray(0, -1)],
    ["is followed by a byte", Buffer.concat([file, Uint8Array.of(0)])],
    ["has another checksum", Buffer.concat([file.subarray(0, -1), Uint8Array.of((file.at(-1) ?? 0) ^ 4)])],
    ["is empty", new Uint8Array(0)],
  ])("throws in place of its end if it %s", async (_, bad) => {
    const pass = async (): Promise<void> => {
      for await (const chunk of checked([bad])) chunk.length;
    };
    await expect(pass()).rejects.toMatchObject({ code: "DATA_LOSS" });
  });

  it("closes its source if its reader leaves", async () => {
    let isClosed = false;
    function* source(): Generator<Uint8Array> {
      try {
        yield* cutAt(file, [100]);
      } finally {
        isClosed = true;
      }
    }
    for await (const _ of checked(source())) break;
    expect(isClosed).toBe(true);
  });
});
