import fc from "fast-check";
import { expect, it } from "vitest";
import { compareFiles } from "../../shared/backup/comparison.ts";
import { indexBytes, parseIndex } from "../../shared/backup/file-index.ts";
import type { RestoreFile, RestorePlan } from "../../shared/backup/operation.ts";
import { advanced, partsOf } from "../../shared/backup/restore-plan.ts";
import { asStatusError } from "../../shared/error.ts";
import { createMemoryValkey, type MemoryServer } from "../../shared/memory/valkey.ts";
import type { LoadMark, LoadSource } from "../../shared/pipeline/ports.ts";
import type { RdbIndex } from "../../shared/rdb/border.ts";
import { checked } from "../../shared/rdb/check.ts";
import { factsOf } from "../../shared/rdb/facts.ts";
import type { RdbSummary } from "../../shared/rdb/summary.ts";
import { anyFile } from "../rdb/any-file.ts";
import { calm, firstAttempt } from "../valkey/fixture.ts";
import { instanceOf } from "./world.ts";

/** Pieces in which a file is read. */
const pieceBytes = 50;

async function read(file: Uint8Array, borderBytes: number): Promise<{ summary: RdbSummary; index: RdbIndex }> {
  let found: { summary: RdbSummary; index: RdbIndex } | undefined;
  for await (const _ of checked([file], (summary, index) => (found = { summary, index }), { borderBytes }));
  if (found === undefined) throw new Error("nothing was told");
  return found;
}

/** The file, of which only so many pieces arrive. */
function sourceOf(facts: RestoreFile, file: Uint8Array, pieces = Number.POSITIVE_INFINITY): LoadSource {
  return {
    facts,
    async *read({ start, end = file.length }) {
      let left = pieces;
      for (let at = start; at < end; at += pieceBytes) {
        if (left-- <= 0) throw new Error("the link broke");
        yield file.subarray(at, Math.min(end, at + pieceBytes));
      }
    },
  };
}

it("loads any file by its parts, in any order, each cut off anywhere and gone on with from any of its marks, as it loads it whole", async () => {
  const anyway = fc.record({
    step: fc.integer({ min: 1, max: 800 }),
    lanes: fc.integer({ min: 1, max: 4 }),
    order: fc.array(fc.nat({ max: 1_000 }), { minLength: 60, maxLength: 60 }),
    deaths: fc.array(fc.record({ pieces: fc.nat({ max: 8 }), mark: fc.nat({ max: 8 }) }), { maxLength: 12 }),
  });
  await fc.assert(
    fc.asyncProperty(anyFile, anyway, async ({ file }, { step, lanes, order, deaths }) => {
      const { summary, index: found } = await read(file, step);
      const index = parseIndex(indexBytes(found), "0.index.json", file.length);
      const facts: RestoreFile = { ...factsOf(summary), bucket: "vault", object: "0.rdb", generation: "1" };
      const parts = partsOf([{ sizeBytes: file.length, index }], lanes);
      let plan: RestorePlan = {
        ...{ source: "file", files: [facts], parts, askedCount: 0, loadedCount: 0, loaded: [] },
        target: { ids: [], runId: "run", expiredKeys: 0 },
      };
      const valkey = createMemoryValkey();
      const byParts = valkey.start("127.0.0.1:7001");
      const asWhole = valkey.start("127.0.0.1:7002");
      await valkey.load(instanceOf("whole", "127.0.0.1:7002"), sourceOf(facts, file), firstAttempt, calm());
      const left = [...deaths];
      for (const [part, { stretch }] of [...parts.entries()].sort(([a], [b]) => (order[a] ?? a) - (order[b] ?? b))) {
        const marks: (LoadMark | undefined)[] = [undefined];
        for (let attempt = 1; ; attempt++) {
          const death = left.pop();
          const source = { ...sourceOf(facts, file, death?.pieces), ...(stretch && { stretch }) };
          const from = marks.at(-1 - (death?.mark ?? 0)) ?? marks.at(-1);
          const options = { ...firstAttempt, part, epoch: attempt, replace: attempt > 1, ...(from && { from }) };
          const onProgress = (mark: LoadMark) => void marks.push(mark);
          const result = await valkey
            .load(instanceOf("parts", "127.0.0.1:7001"), source, { ...options, onProgress }, calm())
            .catch((error): undefined => {
              expect(asStatusError(error).message).toBe("the link broke");
            });
          if (result === undefined) continue;
          ({ plan } = advanced(plan, { part, ...result, sizeBytes: 1 }));
          break;
        }
      }
      const held = ({ shards, functions }: MemoryServer) => ({ keys: shards[0], functions });
      expect(held(byParts)).toEqual(held(asWhole));
      expect(plan.loadedCount).toBe(parts.length);
      expect(compareFiles(plan)).toEqual([]);
    }),
  );
});
