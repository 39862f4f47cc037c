import { FieldPath, type Firestore, type Query as FirestoreQuery } from "@google-cloud/firestore";
import { assertCollection } from "../backup/path.ts";
import type { Query } from "../pipeline/ports.ts";

/**
 * A query in the library's words. The order always ends with the path, in the direction of the field: Firestore's own
 * default, so that it needs no index beyond that of the field, and a page can go on after any document.
 */
export function queryOf(firestore: Firestore, query: Query): FirestoreQuery {
  const { collection, group, where = [], orderBy, limit, after } = query;
  assertCollection(collection, group ?? false);
  let built: FirestoreQuery = group ? firestore.collectionGroup(collection) : firestore.collection(collection);
  for (const [field, operator, value] of where) built = built.where(field, operator, value);
  const fields = orderFields(query);
  for (const field of [...fields, FieldPath.documentId()]) built = built.orderBy(field, orderBy?.direction ?? "asc");
  if (limit !== undefined) built = built.limit(limit);
  if (after === undefined) return built;
  const values = fields.map((field) => fieldOf(after.data, field));
  return built.startAfter(...values, firestore.doc(after.path));
}

/** Firestore sorts by the fields that are compared, too, before it comes to the path; one has to agree. */
function orderFields({ where = [], orderBy }: Query): string[] {
  const compared = where.filter(([, operator]) => operator !== "==").map(([field]) => field);
  return [...new Set([...(orderBy ? [orderBy.field] : []), ...compared.sort()])];
}

/** `a.b` is the field `b` in the map `a`. */
function fieldOf(data: unknown, field: string): unknown {
  return field
    .split(".")
    .reduce<unknown>(
      (value, name) => (typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : null),
      data,
    );
}
