import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Doc, Store } from "../../shared/pipeline/ports.ts";
import { storeBackends } from "./backends.ts";

describe.each(storeBackends)("a query of a store in $name", ({ start }) => {
  let store: Store;
  let stop: () => Promise<void>;
  beforeAll(async () => ({ store, stop } = await start()), 30_000);
  afterAll(() => stop());

  /** A collection that no other test uses. */
  const fresh = () => `c${randomUUID().slice(0, 8)}`;
  const paths = (docs: Doc[]) => docs.map(({ path }) => path.slice(path.lastIndexOf("/") + 1));
  const filled = async (): Promise<string> => {
    const collection = fresh();
    const data = { a: { n: 2, s: "x" }, b: { n: 10 }, c: { n: "2" }, d: { s: "x" }, e: { n: 2, m: { k: true } } };
    const writes = Object.entries(data).map(
      ([id, data]) => ({ kind: "create", path: `${collection}/${id}`, data }) as const,
    );
    await store.commit([...writes, { kind: "create", path: `${collection}/a/${collection}/z`, data: { n: 1 } }]);
    return collection;
  };

  it("finds the documents of a collection by path, not those below them", async () => {
    expect(paths(await store.query({ collection: await filled() }))).toEqual(["a", "b", "c", "d", "e"]);
  });

  it("answers whole documents", async () => {
    const collection = await filled();
    const [first] = await store.query({ collection, limit: 1 });
    expect(first).toEqual(await store.get(`${collection}/a`));
  });

  it("of a group finds those of every collection of that name, by path", async () => {
    const collection = await filled();
    const docs = await store.query({ collection, group: true });
    expect(paths(docs)).toEqual(["a", "z", "b", "c", "d", "e"]);
  });

  it("of nothing answers nothing", async () => {
    expect(await store.query({ collection: fresh() })).toEqual([]);
  });

  it("compares only values of one type", async () => {
    const collection = await filled();
    expect(paths(await store.query({ collection, where: [["n", "<=", 2]] }))).toEqual(["a", "e"]);
    expect(paths(await store.query({ collection, where: [["n", ">", ""]] }))).toEqual(["c"]);
  });

  it("with a comparison and no order answers by the field that is compared", async () => {
    const collection = fresh();
    const writes = [3, 1, 2].map((n) => ({ kind: "create", path: `${collection}/d${n}`, data: { n: -n } }) as const);
    await store.commit(writes);
    expect(paths(await store.query({ collection, where: [["n", "<", 0]] }))).toEqual(["d3", "d2", "d1"]);
  });

  it("may compare one field and order by another", async () => {
    const collection = fresh();
    const writes = [3, 1, 2].map(
      (n) => ({ kind: "create", path: `${collection}/d${n}`, data: { n, s: n % 2 } }) as const,
    );
    await store.commit(writes);
    const query = { collection, orderBy: { field: "s", direction: "desc" } } as const;
    const docs = await store.query({ ...query, where: [["n", ">", 0]] });
    expect(paths(docs)).toEqual(["d3", "d1", "d2"]);
    const after = docs[0];
    expect(paths(await store.query({ ...query, where: [["n", ">", 0]], ...(after && { after }) }))).toEqual([
      "d1",
      "d2",
    ]);
  });

  it("looks into maps", async () => {
    const collection = await filled();
    expect(paths(await store.query({ collection, where: [["m.k", "==", true]] }))).toEqual(["e"]);
  });

  it("wants all of several conditions", async () => {
    const collection = await filled();
    const where = [
      ["s", "==", "x"],
      ["n", "==", 2],
    ] satisfies Parameters<Store["query"]>[0]["where"];
    expect(paths(await store.query({ collection, where }))).toEqual(["a"]);
  });

  it("orders by a field, then by path, numbers before strings, and leaves out those without it", async () => {
    const collection = await filled();
    const orderBy = { field: "n", direction: "asc" } as const;
    expect(paths(await store.query({ collection, orderBy }))).toEqual(["a", "e", "b", "c"]);
  });

  it("descends by the field and by path", async () => {
    const collection = await filled();
    const orderBy = { field: "n", direction: "desc" } as const;
    expect(paths(await store.query({ collection, orderBy }))).toEqual(["c", "b", "e", "a"]);
  });

  it.each(["asc", "desc"] as const)("goes on page by page, %s, missing and repeating nothing", async (direction) => {
    const collection = await filled();
    const whole = { collection, group: true, orderBy: { field: "n", direction } } as const;
    const pages: Doc[] = [];
    for (let after: Doc | undefined; ; after = pages.at(-1)) {
      const page = await store.query({ ...whole, limit: 2, ...(after && { after }) });
      pages.push(...page);
      if (page.length < 2) break;
    }
    expect(pages).toEqual(await store.query(whole));
  });

  it("goes on through a group after nothing but a path", async () => {
    const leaf = `leaf${randomUUID().slice(0, 8)}`;
    const wanted = ["p/a-1", "p/a-2", "q/a", "q/b", "q/c"].map((name) => {
      const [parent, id] = name.split("/");
      return `parents/${parent}-${leaf}/${leaf}/${id}`;
    });
    await store.commit(wanted.map((path) => ({ kind: "create", path, data: { n: 1 } })));
    const found: string[] = [];
    for (let path: string | undefined; ; path = found.at(-1)) {
      const after = path === undefined ? {} : { after: { path, data: {}, updateTime: "" } };
      const page = await store.query({ collection: leaf, group: true, limit: 2, ...after });
      found.push(...page.map((doc) => doc.path));
      if (page.length < 2) break;
    }
    expect(found).toEqual(wanted);
  });

  it("goes on by path after a document that is gone", async () => {
    const collection = await filled();
    const after = await store.get(`${collection}/b`);
    await store.commit([{ kind: "remove", path: `${collection}/b` }]);
    expect(paths(await store.query({ collection, ...(after && { after }), limit: 2 }))).toEqual(["c", "d"]);
  });
});
