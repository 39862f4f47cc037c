import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Doc, Store } from "../../shared/pipeline/ports.ts";
import { storeBackends } from "./backends.ts";

describe.each(storeBackends)("a store in $name", ({ start }) => {
  let store: Store;
  let stop: () => Promise<void>;
  beforeAll(async () => ({ store, stop } = await start()), 30_000);
  afterAll(() => stop());

  /** A collection that no other test uses. */
  const fresh = () => `c${randomUUID().slice(0, 8)}`;
  const created = async (path: string, data: object): Promise<Doc> => {
    await store.commit([{ kind: "create", path, data }]);
    return read(path);
  };
  const read = async (path: string): Promise<Doc> => {
    const doc = await store.get(path);
    if (doc === undefined) throw new Error(`${path} is not there`);
    return doc;
  };
  const paths = (docs: Doc[]) => docs.map(({ path }) => path.slice(path.lastIndexOf("/") + 1));
  const aborted = expect.objectContaining({ code: "ABORTED" });
  const invalid = expect.objectContaining({ code: "INVALID_ARGUMENT" });

  describe("a document", () => {
    it("is undefined where there is none", async () => {
      expect(await store.get(`${fresh()}/a`)).toBeUndefined();
    });

    it("comes back as the JSON that it was, without its undefined fields", async () => {
      const path = `${fresh()}/a`;
      const data = { text: "ä\u0000😀", whole: 2 ** 53 - 1, part: 0.25, no: false, none: null, list: [1, { a: [] }] };
      const { data: found } = await created(path, { ...data, map: { "0": { "a.b": "" } }, gone: undefined });
      expect(found).toEqual({ ...data, map: { "0": { "a.b": "" } } });
    });

    it("is a copy: changing what was read changes nothing", async () => {
      const { path, data } = await created(`${fresh()}/a`, { list: [1] });
      (data as { list: number[] }).list.push(2);
      expect((await read(path)).data).toEqual({ list: [1] });
    });

    it("is a copy: changing what was written changes nothing", async () => {
      const mine = { list: [1] };
      const { path } = await created(`${fresh()}/a`, mine);
      mine.list.push(2);
      expect((await read(path)).data).toEqual({ list: [1] });
    });

    it("may be empty", async () => {
      expect((await created(`${fresh()}/a`, {})).data).toEqual({});
    });

    it("takes field names with dots and quotes as they are, when it is created and when it is put", async () => {
      const { path, updateTime } = await created(`${fresh()}/a`, { "a.b": 1, "`": 2 });
      await store.commit([{ kind: "put", path, data: { "a.b": 3, "\\": 4 }, updateTime }]);
      expect((await read(path)).data).toEqual({ "a.b": 3, "\\": 4 });
    });

    it("is read with others in the order that was asked for, missing and repeated ones too", async () => {
      const collection = fresh();
      const a = await created(`${collection}/a`, { n: 1 });
      const b = await created(`${collection}/b`, { n: 2 });
      expect(await store.getAll([b.path, `${collection}/x`, a.path, b.path])).toEqual([b, undefined, a, b]);
    });

    it("is read with none at once", async () => {
      expect(await store.getAll([])).toEqual([]);
    });
  });

  describe("create", () => {
    it("is ABORTED where a document is, which stays", async () => {
      const before = await created(`${fresh()}/a`, { n: 1 });
      await expect(created(before.path, { n: 2 })).rejects.toEqual(aborted);
      expect(await read(before.path)).toEqual(before);
    });

    it("lets exactly one of twenty win", async () => {
      const path = `${fresh()}/a`;
      const attempts = Array.from({ length: 20 }, (_, n) => store.commit([{ kind: "create", path, data: { n } }]));
      const results = await Promise.allSettled(attempts);
      const winners = results.flatMap(({ status }, n) => (status === "fulfilled" ? [n] : []));
      expect(winners.map((n) => ({ n }))).toEqual([(await read(path)).data]);
      const losses = results.flatMap((result) => (result.status === "rejected" ? [result.reason.code] : []));
      expect(new Set(losses)).toEqual(new Set(["ABORTED"]));
    });
  });

  describe("put", () => {
    it("replaces the whole document: fields that are not in it are gone", async () => {
      const { path, updateTime } = await created(`${fresh()}/a`, { old: 1, both: { a: 1, b: 2 } });
      await store.commit([{ kind: "put", path, data: { both: { b: 3 }, new: 1 }, updateTime }]);
      expect((await read(path)).data).toEqual({ both: { b: 3 }, new: 1 });
    });

    it("moves the updateTime on, and it sorts as text", async () => {
      const { path, updateTime } = await created(`${fresh()}/a`, { n: 0 });
      const times = [updateTime];
      for (let n = 1; n < 10; n++) {
        await store.commit([{ kind: "put", path, data: { n }, updateTime: times.at(-1) ?? "" }]);
        times.push((await read(path)).updateTime);
      }
      expect(new Set(times).size).toBe(10);
      expect([...times].sort()).toEqual(times);
    });

    it("leaves the updateTime where it changes nothing", async () => {
      const before = await created(`${fresh()}/a`, { n: 1, map: { a: 1 } });
      const { path, updateTime } = before;
      await store.commit([{ kind: "put", path, data: { map: { a: 1 }, n: 1 }, updateTime }]);
      expect(await read(path)).toEqual(before);
    });

    it("is ABORTED after another change", async () => {
      const { path, updateTime } = await created(`${fresh()}/a`, { n: 1 });
      await store.commit([{ kind: "put", path, data: { n: 2 }, updateTime }]);
      await expect(store.commit([{ kind: "put", path, data: { n: 3 }, updateTime }])).rejects.toEqual(aborted);
      expect((await read(path)).data).toEqual({ n: 2 });
    });

    it("is ABORTED where the document is gone", async () => {
      const { path, updateTime } = await created(`${fresh()}/a`, { n: 1 });
      await store.commit([{ kind: "remove", path }]);
      await expect(store.commit([{ kind: "put", path, data: {}, updateTime }])).rejects.toEqual(aborted);
    });

    it("is ABORTED where the document was removed and created again", async () => {
      const { path, updateTime } = await created(`${fresh()}/a`, { n: 1 });
      await store.commit([{ kind: "remove", path }]);
      await created(path, { n: 1 });
      await expect(store.commit([{ kind: "put", path, data: {}, updateTime }])).rejects.toEqual(aborted);
    });

    it("lets exactly one of twenty win", async () => {
      const { path, updateTime } = await created(`${fresh()}/a`, { n: -1 });
      const results = await Promise.allSettled(
        Array.from({ length: 20 }, (_, n) => store.commit([{ kind: "put", path, data: { n }, updateTime }])),
      );
      const winners = results.flatMap(({ status }, n) => (status === "fulfilled" ? [n] : []));
      expect(winners.map((n) => ({ n }))).toEqual([(await read(path)).data]);
      const losses = results.flatMap((result) => (result.status === "rejected" ? [result.reason.code] : []));
      expect(losses).toEqual(Array(19).fill("ABORTED"));
    });

    it("loses no increment of ten writers that read again after each loss", async () => {
      const { path } = await created(`${fresh()}/a`, { n: 0 });
      const increment = async (): Promise<void> => {
        const { data, updateTime } = await read(path);
        const next = { n: (data as { n: number }).n + 1 };
        const won = await store.commit([{ kind: "put", path, data: next, updateTime }]).then(
          () => true,
          (error) => {
            expect(error).toEqual(aborted);
            return false;
          },
        );
        if (!won) await increment();
      };
      await Promise.all(Array.from({ length: 10 }, increment));
      expect((await read(path)).data).toEqual({ n: 10 });
    });
  });

  describe("remove", () => {
    it("takes the document away", async () => {
      const { path, updateTime } = await created(`${fresh()}/a`, { n: 1 });
      await store.commit([{ kind: "remove", path, updateTime }]);
      expect(await store.get(path)).toBeUndefined();
    });

    it("is ABORTED after another change", async () => {
      const { path, updateTime } = await created(`${fresh()}/a`, { n: 1 });
      await store.commit([{ kind: "put", path, data: { n: 2 }, updateTime }]);
      await expect(store.commit([{ kind: "remove", path, updateTime }])).rejects.toEqual(aborted);
    });

    it("is ABORTED under a guard where the document is gone", async () => {
      const { path, updateTime } = await created(`${fresh()}/a`, { n: 1 });
      await store.commit([{ kind: "remove", path }]);
      await expect(store.commit([{ kind: "remove", path, updateTime }])).rejects.toEqual(aborted);
    });

    it("is fine without a guard where nothing is", async () => {
      await store.commit([{ kind: "remove", path: `${fresh()}/a` }]);
    });
  });

  describe("a batch", () => {
    it("writes all or nothing: one lost guard anywhere leaves everything as it was", async () => {
      const collection = fresh();
      const kept = await created(`${collection}/kept`, { n: 1 });
      const gone = await created(`${collection}/gone`, { n: 1 });
      const there = await created(`${collection}/there`, { n: 1 });
      const batch = store.commit([
        { kind: "create", path: `${collection}/new`, data: {} },
        { kind: "put", path: kept.path, data: { n: 2 }, updateTime: kept.updateTime },
        { kind: "remove", path: gone.path },
        { kind: "create", path: there.path, data: {} },
      ]);
      await expect(batch).rejects.toEqual(aborted);
      expect(await store.query({ collection })).toEqual([gone, kept, there]);
    });

    it("may be empty", async () => {
      await store.commit([]);
    });

    it("of two that guard one document and create different ones, lets exactly one through", async () => {
      const collection = fresh();
      const { path, updateTime } = await created(`${collection}/guard`, { n: 0 });
      const batches = Array.from({ length: 20 }, (_, n) =>
        store.commit([
          { kind: "put", path, data: { n: n + 1 }, updateTime },
          { kind: "create", path: `${collection}/x${n}`, data: {} },
        ]),
      );
      await Promise.allSettled(batches);
      const { n } = (await read(path)).data as { n: number };
      expect(paths(await store.query({ collection }))).toEqual(["guard", `x${n - 1}`]);
    });
  });

  describe("INVALID_ARGUMENT", () => {
    it.each([
      "",
      "a",
      "a/b/c",
      "a//b/c",
      "/a/b",
      "a/..",
      "a/.",
      "a/__b__",
      `a/${"x".repeat(1501)}`,
    ])("is what the path %j gets", async (path) => {
      await expect(store.get(path), "read").rejects.toEqual(invalid);
      await expect(store.commit([{ kind: "create", path, data: {} }]), "created").rejects.toEqual(invalid);
    });

    it.each(["", "a/b", "a//b", "__a__"])("is what the collection %j gets", async (collection) => {
      await expect(store.query({ collection })).rejects.toEqual(invalid);
    });

    it("is what a batch gets that writes one document twice", async () => {
      const path = `${fresh()}/a`;
      const writes = [{ kind: "create", path, data: {} } as const, { kind: "remove", path } as const];
      await expect(store.commit(writes)).rejects.toEqual(invalid);
    });

    it("is what a document over 1 MiB gets, and nothing of its batch is written", async () => {
      const collection = fresh();
      const batch = store.commit([
        { kind: "create", path: `${collection}/a`, data: {} },
        { kind: "create", path: `${collection}/b`, data: { text: "x".repeat(1_048_576) } },
      ]);
      await expect(batch).rejects.toEqual(invalid);
      expect(await store.query({ collection })).toEqual([]);
    });

    it.each([{ "": 1 }, { __a__: 1 }, { list: [[1]] }])("is what the data %j gets", async (data) => {
      await expect(created(`${fresh()}/a`, data)).rejects.toEqual(invalid);
    });
  });
});
