import fc from "fast-check";
import { expect, it } from "vitest";
import type { LoadMark } from "../../shared/pipeline/ports.ts";
import { Watermark } from "../../shared/valkey/load/watermark.ts";

const markAt = (offset: number): LoadMark => ({
  offset,
  database: 0,
  crc64: "",
  result: { databases: {}, expiredKeys: 0, soonExpiredKeys: 0, functions: 0 },
});

it("a mark is told once everything that was begun before it has ended, in whatever order", () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat({ max: 3 }), { minLength: 1, maxLength: 30 }),
      fc.infiniteStream(fc.nat()),
      (blocks, pick) => {
        let told = 0;
        const watermark = new Watermark(({ offset }) => {
          told = Math.max(told, offset);
        }, 0);
        // Each span begins so many blocks; its mark is its number.
        const open: { span: number; end(): void }[] = [];
        for (const [at, count] of blocks.entries()) {
          for (let n = 0; n < count; n++) {
            const { span } = watermark;
            span.begin();
            open.push({ span: at + 1, end: () => span.end() });
          }
          watermark.close(markAt(at + 1));
        }
        while (open.length > 0) {
          const oldest = Math.min(...open.map(({ span }) => span));
          expect(told).toBe(oldest - 1);
          open.splice((pick.next().value ?? 0) % open.length, 1)[0]?.end();
        }
        expect(told).toBe(blocks.length);
      },
    ),
  );
});

it("marks are told a few times a second only", () => {
  const told: number[] = [];
  const watermark = new Watermark(({ offset }) => told.push(offset));
  for (let offset = 1; offset <= 1_000; offset++) watermark.close(markAt(offset));
  expect(told.length).toBeLessThan(5);
});
