import { readFileSync } from "node:fs";
import type { Query, Store } from "../../shared/pipeline/ports.ts";

type Order = "ASCENDING" | "DESCENDING";
type Scope = "COLLECTION" | "COLLECTION_GROUP";

interface Indexes {
  indexes: { collectionGroup: string; queryScope: Scope; fields: { fieldPath: string; order: Order }[] }[];
  fieldOverrides: { collectionGroup: string; fieldPath: string; indexes: { queryScope: Scope; order: Order }[] }[];
}

const file = new URL("../../infra/firestore.indexes.json", import.meta.url);
const { indexes, fieldOverrides }: Indexes = JSON.parse(readFileSync(file, "utf8"));

/** The store, but it refuses a query for which Firestore has no index: the emulator answers every query, production does not. */
export function indexed<S extends Store>(store: S): S {
  return {
    ...store,
    async query<T>(query: Query) {
      if (!isIndexed(query)) throw new Error(`infra/firestore.indexes.json has no index for ${JSON.stringify(query)}`);
      return await store.query<T>(query);
    },
  };
}

/**
 * Whether Firestore can answer it. By itself it indexes each field of a collection, both ways, and merges these for what is equal; an
 * order beside something equal, and any field of a collection group, want an index of their own (firebase.google.com/docs/firestore/query-data/index-overview).
 */
export function isIndexed({ collection, group = false, where = [], orderBy }: Query): boolean {
  const id = collection.slice(collection.lastIndexOf("/") + 1);
  const scope: Scope = group ? "COLLECTION_GROUP" : "COLLECTION";
  const equal = [...new Set(where.filter(([, operator]) => operator === "==").map(([field]) => field))];
  const compared = where.filter(([, operator]) => operator !== "==").map(([field]) => field);
  const ordered = [...new Set([...(orderBy ? [orderBy.field] : []), ...compared])];
  const order: Order = orderBy?.direction === "desc" ? "DESCENDING" : "ASCENDING";
  const [field, ...others] = [...equal, ...ordered];
  if (field === undefined || (!group && ordered.length === 0)) return true;
  if (others.length === 0 && !group) return true;
  if (others.length === 0)
    return fieldOverrides.some(
      (override) =>
        override.collectionGroup === id &&
        override.fieldPath === field &&
        override.indexes.some((index) => index.queryScope === scope && index.order === order),
    );
  return indexes.some(({ collectionGroup, queryScope, fields }) => {
    if (collectionGroup !== id || queryScope !== scope || fields.length !== equal.length + ordered.length) return false;
    const first = fields.slice(0, equal.length).map(({ fieldPath }) => fieldPath);
    const then = fields.slice(equal.length);
    const isOrdered = then.every((one, n) => one.fieldPath === ordered[n] && one.order === order);
    return equal.every((one) => first.includes(one)) && isOrdered;
  });
}
