import type { Doc, Query, Store } from "./ports.ts";

/** How many documents are in memory at a time. */
const pageSize = 200;

/** The next documents of a collection, or a group of them, after this path, in the order of their paths. */
export async function pageAfter<T>(
  store: Store,
  query: Pick<Query, "collection" | "group">,
  after: string | undefined,
  limit: number,
): Promise<Doc<T>[]> {
  const from = after === undefined ? {} : { after: { path: after, data: {}, updateTime: "" } };
  return await store.query<T>({ ...query, limit, ...from });
}

/** All of them, a page in memory at a time. */
export async function* everyDocument<T>(
  store: Store,
  query: Pick<Query, "collection" | "group">,
  signal: AbortSignal,
): AsyncGenerator<Doc<T>> {
  for (let after: string | undefined; ; ) {
    signal.throwIfAborted();
    const page = await pageAfter<T>(store, query, after, pageSize);
    yield* page;
    after = page.at(-1)?.path;
    if (page.length < pageSize) return;
  }
}
