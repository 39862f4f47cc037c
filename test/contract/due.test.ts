import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Due, dueAt, review } from "../../shared/pipeline/catalogue.ts";
import type { Store } from "../../shared/pipeline/ports.ts";
import { storeBackends } from "./backends.ts";

const at = (hour: number): string => `2026-11-21T${String(hour).padStart(2, "0")}:00:00.000Z`;

describe.each(storeBackends)("what is due in $name", ({ start }) => {
  let store: Store;
  let stop: () => Promise<void>;
  beforeAll(async () => {
    ({ store, stop } = await start());
    const documents: [path: string, reviewTime: string | undefined][] = [
      ["backupCollections/a", at(3)],
      ["backupCollections/b", undefined],
      ["backupCollections/c", at(23)],
      ["backupCollections/a/backups/late", at(9)],
      ["backupCollections/a/backups/early", at(1)],
      ["backupCollections/b/backups/same", at(9)],
      ["backupCollections/b/backups/future", at(13)],
      ["backupCollections/b/backups/kept", undefined],
    ];
    for (const [path, reviewTime] of documents)
      await store.commit([{ kind: "create", path, data: { name: path, pins: [], ...(reviewTime && { reviewTime }) } }]);
  }, 30_000);
  afterAll(() => stop());

  it.each([1, 2, 3, 100])("is found page by page, %i at a time, backups before collections", async (limit) => {
    const found: Due[] = [];
    for (let after: Due | undefined; ; ) {
      const page = await dueAt(store, at(12), limit, after);
      found.push(...page);
      after = page.at(-1);
      if (page.length < limit) break;
    }
    expect(found.map(({ name, reviewTime }) => `${name} ${reviewTime.slice(11, 13)}`)).toEqual([
      "backupCollections/a/backups/early 01",
      "backupCollections/a/backups/late 09",
      "backupCollections/b/backups/same 09",
      "backupCollections/a 03",
    ]);
  });

  it("is decided with the whole catalogue, more than one page of it", async () => {
    const names = Array.from({ length: 301 }, (_, n) => `backupCollections/d/backups/b${n}`);
    const times = { createTime: at(0), expireTime: at(1) };
    const fields = { state: "ACTIVE", ...times, verification: "CHECKED", pins: [], backupFiles: [] };
    await store.commit(names.map((path) => ({ kind: "create", path, data: { name: path, ...fields } })));
    const of = { collection: "backupCollections/d", holder: undefined };
    const { decisions } = await review(store, of, { now: at(12) }, AbortSignal.timeout(20_000));
    expect(decisions).toHaveLength(301);
    expect(new Set(decisions.map(({ backup }) => backup))).toEqual(new Set(names));
  });
});
