import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { FileIndex } from "../../shared/backup/file-index.ts";
import type { PartResult, RestoreFile, RestorePlan } from "../../shared/backup/operation.ts";
import { advanced, lanesInto, partsOf } from "../../shared/backup/restore-plan.ts";

const mebibyte = 2 ** 20;
const checksumAt = (offset: number): string => offset.toString(16).padStart(16, "0");

/** A file of so many stretches of this length, and half of one. */
function fileOf(stretches: number, stretchBytes = 64 * mebibyte): { sizeBytes: number; index?: FileIndex } {
  const sizeBytes = (stretches + 0.5) * stretchBytes;
  const borders = Array.from({ length: stretches }, (_, n) => {
    const offset = (n + 1) * stretchBytes;
    return { offset, database: n % 3, keys: 10 * (n + 1), expires: n, crc64: checksumAt(offset) };
  });
  const index = { borderBytes: stretchBytes, sizeBytes, crc64: checksumAt(sizeBytes), borders };
  return { sizeBytes, ...(stretches > 0 && { index }) };
}

describe("the parts of files", () => {
  it("join each other without gap or overlap, in place, database and checksum", () => {
    const anyFiles = fc.array(
      fc.nat({ max: 60 }).map((n) => fileOf(n)),
      { minLength: 1, maxLength: 12 },
    );
    fc.assert(
      fc.property(anyFiles, fc.integer({ min: 1, max: 40 }), (files, lanes) => {
        const parts = partsOf(files, lanes);
        for (const [n, { sizeBytes, index }] of files.entries()) {
          const own = parts.filter(({ file }) => file === n).map(({ stretch }) => stretch);
          if (own.length === 1) {
            expect(own[0]).toBeUndefined();
            continue;
          }
          let at = { offset: 0, database: 0, crc64: checksumAt(0) };
          for (const [turn, stretch] of own.entries()) {
            const isLast = turn === own.length - 1;
            const end = index?.borders.find(({ offset }) => offset === stretch?.endOffset);
            expect(stretch).toMatchObject({
              startOffset: at.offset,
              database: at.database,
              crc64: { before: at.crc64 },
            });
            expect(stretch?.crc64.after).toBe(isLast ? checksumAt(sizeBytes) : end?.crc64);
            expect(stretch?.endOffset === undefined).toBe(isLast);
            if (end !== undefined) at = end;
          }
        }
      }),
    );
  });

  it("are as many as keep every lane at work, of a file that is large enough", () => {
    expect(partsOf([fileOf(16)], 4).length).toBe(17);
    expect(partsOf([fileOf(120)], 4).length).toBe(20);
    expect(partsOf([fileOf(48)], 1).length).toBe(5);
  });

  it("take turns between the files", () => {
    const parts = partsOf([fileOf(8), fileOf(0), fileOf(8)], 4);
    expect(parts.slice(0, 5).map(({ file }) => file)).toEqual([0, 1, 2, 0, 2]);
  });

  it("are no larger than 1 GiB, of files of any size, until there would be more than a thousand", () => {
    const parts = partsOf([fileOf(3_000)], 4); // 188 GiB
    expect(parts.length).toBeGreaterThan(180);
    for (const { stretch } of parts.slice(0, -1))
      expect((stretch?.endOffset ?? 0) - (stretch?.startOffset ?? 0)).toBeLessThanOrEqual(1.1 * 2 ** 30);
  });

  it.each([
    [1, 100_000],
    [250, 400],
    [999, 100],
  ])("of %i files of %i stretches are about a thousand, and the plan with all results fits its document", (count, stretches) => {
    const files = Array.from({ length: count }, () => fileOf(stretches));
    const parts = partsOf(files, 32);
    expect(parts.length).toBeLessThanOrEqual(Math.max(1_000, 2 * count));
    let plan = planOf(
      files.map(({ sizeBytes }, n) => ({
        ...facts,
        sizeBytes,
        object: `backupCollections/orders/backups/nightly/${n}.rdb`,
      })),
      parts,
    );
    for (const part of parts.keys()) ({ plan } = advanced(plan, resultOf(part)));
    expect(JSON.stringify(plan).length).toBeLessThan(count > 250 ? 950_000 : 400_000);
  });

  it("of a file without an index are the file", () => {
    expect(partsOf([{ sizeBytes: 2 ** 40 }], 8)).toEqual([{ file: 0 }]);
  });
});

const facts: RestoreFile = {
  bucket: "valkeep-vault",
  object: "0.rdb",
  generation: "1700000000000001",
  sizeBytes: 100,
  magic: "REDIS",
  rdbVersion: 11,
  minimumRdbVersion: 11,
  crc64: "ok",
  keys: 10,
  expires: 2,
  functions: 0,
  databases: { 0: { keys: 10, expires: 2, types: {} } },
  largestRecordBytes: 50,
  moduleTypes: [],
  slotImports: 0,
};

function planOf(files: RestoreFile[], parts: RestorePlan["parts"], askedCount = 2): RestorePlan {
  return {
    source: "file",
    files,
    parts,
    askedCount,
    loadedCount: 0,
    target: { ids: [], runId: "run", expiredKeys: 0 },
    loaded: [],
  };
}

const resultOf = (part: number, keys = 5): PartResult => ({
  part,
  databases: { 0: { keys, expires: 1 } },
  expiredKeys: 1,
  soonExpiredKeys: 1,
  functions: 0,
  sizeBytes: 50,
});

describe("a plan with one more part loaded", () => {
  it("asks for the next part in its place, and is complete with the last", () => {
    let plan = planOf([facts], [{ file: 0 }, { file: 0 }, { file: 0 }]);
    const steps: unknown[] = [];
    for (const part of [1, 0, 2]) {
      const { plan: grown, next, isComplete } = advanced(plan, resultOf(part));
      steps.push([next, isComplete, grown.askedCount, grown.loadedCount]);
      plan = grown;
    }
    expect(steps).toEqual([
      [2, false, 3, 1],
      [undefined, false, 3, 2],
      [undefined, true, 3, 3],
    ]);
  });

  it("sums what was loaded of each file", () => {
    let plan = planOf([facts, facts], [{ file: 0 }, { file: 1 }, { file: 0 }]);
    for (const part of [2, 1, 0]) ({ plan } = advanced(plan, resultOf(part, part + 5)));
    expect(plan.loaded).toEqual([
      {
        file: 0,
        databases: { 0: { keys: 12, expires: 2 } },
        expiredKeys: 2,
        soonExpiredKeys: 2,
        functions: 0,
        sizeBytes: 100,
      },
      {
        file: 1,
        databases: { 0: { keys: 6, expires: 1 } },
        expiredKeys: 1,
        soonExpiredKeys: 1,
        functions: 0,
        sizeBytes: 50,
      },
    ]);
  });
});

it("loads four parts at once for each shard of the target, and no more than 32", () => {
  expect([1, 3, 8, 250].map(lanesInto)).toEqual([4, 12, 32, 32]);
});
