import { describe, expect, it } from "vitest";
import { crc64 } from "../../shared/rdb/crc64.ts";
import type { RdbEntry } from "../../shared/rdb/entry.ts";
import type { Magic } from "../../shared/rdb/family.ts";
import { type PassOptions, passRecords } from "../../shared/rdb/pass.ts";
import { Collector } from "../../shared/rdb/passing.ts";
import type { Checkpoint } from "../../shared/rdb/reader.ts";
import { records } from "../../shared/rdb/records.ts";
import { encodeString, type RdbItem, writeRdb } from "../../shared/rdb/writer.ts";
import { seeded } from "../fixture/seeded.ts";
import { cutAt, fileOfEverything, formats, randomCuts } from "./files.ts";

const magics: Magic[] = ["REDIS", "VALKEY"];

/** Copies what it is told within the call. */
class Copier extends Collector {
  readonly copies: RdbEntry[] = [];
  override record(passing: Parameters<Collector["record"]>[0]): void {
    super.record(passing);
    this.copies.push(...this.take().map(copied));
  }
  override function(library: Parameters<Collector["function"]>[0]): void {
    this.copies.push(copied(library));
  }
}

function copied(entry: RdbEntry): RdbEntry {
  if (entry.kind === "function") return { ...entry, code: Uint8Array.from(entry.code) };
  return { ...entry, key: Uint8Array.from(entry.key), value: entry.value && Uint8Array.from(entry.value) };
}

async function passed(chunks: Iterable<Uint8Array>, options: Partial<PassOptions> = {}): Promise<RdbEntry[]> {
  const copier = new Copier();
  const whole = { checkpointBytes: Number.POSITIVE_INFINITY, onCheckpoint: () => undefined, rest: () => undefined };
  await passRecords(chunks, copier, { ...whole, ...options });
  return copier.copies;
}

async function entriesOf(file: Uint8Array): Promise<RdbEntry[]> {
  const entries: RdbEntry[] = [];
  for await (const batch of records([file])) entries.push(...batch.map(copied));
  return entries;
}

const plain = (key: string, value: string, db = 0): RdbItem => ({
  kind: "record",
  key: Buffer.from(key),
  type: 0,
  value: encodeString(value),
  db,
});

describe.each(magics)("what a sink is told of a %s file", (magic) => {
  it("is all of its entries, however the chunks fall and even if their memory is used again", async () => {
    const file = fileOfEverything(magic);
    const all = await entriesOf(file);
    expect(await passed([file])).toEqual(all);
    expect(await passed(cutAt(file, [...file.keys()]))).toEqual(all);
    for (let seed = 0; seed < 30; seed++) {
      const random = seeded(seed);
      const cuts = randomCuts(file.length, Math.ceil(random() ** 3 * 300), random);
      expect(await passed(cutAt(file, cuts)), `seed ${seed}`).toEqual(all);
    }
  });
});

describe("passing records on", () => {
  const items = Array.from({ length: 3_000 }, (_, n) => plain(`key ${n}`, `${n}`.repeat(n % 50), n >> 10));
  const file = writeRdb(formats.REDIS, items);

  it("finds a file whole by its checksum, and a changed one not, in any chunks", async () => {
    const bad = Uint8Array.from(file);
    bad[file.length - 1] = (bad[file.length - 1] as number) ^ 1;
    for (const cuts of [[], [7], [70_000], [1, 65_537, 131_074]]) {
      expect(await passed(cutAt(file, cuts))).toHaveLength(3_000);
      await expect(passed(cutAt(bad, cuts))).rejects.toMatchObject({ code: "DATA_LOSS", offset: file.length - 8 });
    }
  });

  it("passes checkpoints from which the rest can be passed and checked", async () => {
    const all = await passed([file]);
    const checkpoints: { at: Checkpoint; seen: number }[] = [];
    const copier = new Copier();
    await passRecords(cutAt(file, [100, 9_000, 60_000]), copier, {
      checkpointBytes: 10_000,
      onCheckpoint: (at) => checkpoints.push({ at, seen: copier.copies.length }),
      rest: () => undefined,
    });
    expect(checkpoints.length).toBeGreaterThan(1);
    for (const { at, seen } of checkpoints) {
      const { offset: startOffset, db, crc64: before = 0n } = at;
      expect(before).toBe(crc64(file.subarray(0, startOffset)));
      const stretch = { ...formats.REDIS, startOffset, db, crc64: { before } };
      expect(await passed([file.subarray(startOffset)], { stretch })).toEqual(all.slice(seen));
    }
  });

  it("waits while the sink rests, and asks it at every 64 KiB at least", async () => {
    let asked = 0;
    let resting = 0;
    const rest = async () => {
      resting++;
      await new Promise((resolve) => setTimeout(resolve, 1));
      resting--;
    };
    const copier = new Copier();
    await passRecords([file], copier, {
      checkpointBytes: 1,
      onCheckpoint: () => expect(resting).toBe(0),
      rest() {
        expect(resting).toBe(0);
        asked++;
        return rest();
      },
    });
    expect(asked).toBe(Math.ceil(file.length / 65_536));
    expect(asked).toBeGreaterThan(2);
  });

  it("ends with what the sink throws", async () => {
    const sink = {
      record: () => {
        throw new Error("enough");
      },
      function: () => undefined,
    };
    const options = { checkpointBytes: 1, onCheckpoint: () => undefined, rest: () => undefined };
    await expect(passRecords([file], sink, options)).rejects.toThrow("enough");
  });

  it("keeps two files apart that pass at the same time", async () => {
    const other = writeRdb(
      formats.REDIS,
      items.map((item) => ({ ...item, db: 3 })),
    );
    const slowly = async function* (bytes: Uint8Array): AsyncGenerator<Uint8Array> {
      for (const chunk of cutAt(bytes, [30_001, 66_000, 90_000])) {
        yield chunk;
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
    const copiers = [new Copier(), new Copier()];
    const options = { checkpointBytes: 1_000, onCheckpoint: () => undefined, rest: () => undefined };
    await Promise.all([file, other].map((bytes, n) => passRecords(slowly(bytes), copiers[n] ?? new Copier(), options)));
    expect(copiers.map(({ copies }) => copies)).toEqual([await passed([file]), await passed([other])]);
  });
});
