import type { Doc, Query } from "../pipeline/ports.ts";

/** The documents that a query asks for, in its order: Firestore's semantics. */
export function select(docs: Iterable<Doc>, query: Query): Doc[] {
  const { where = [], orderBy, limit = Number.POSITIVE_INFINITY, after } = query;
  const compare = comparison(query);
  return [...docs]
    .filter(({ path }) => isIn(path, query))
    .filter(({ data }) => where.every(([field, operator, value]) => holds(fieldOf(data, field), operator, value)))
    .filter(({ data }) => orderBy === undefined || fieldOf(data, orderBy.field) !== undefined)
    .sort(compare)
    .filter((doc) => after === undefined || compare(doc, after) > 0)
    .slice(0, limit);
}

function isIn(path: string, { collection, group }: Query): boolean {
  const parent = path.slice(0, path.lastIndexOf("/"));
  return group ? parent.slice(parent.lastIndexOf("/") + 1) === collection : parent === collection;
}

/**
 * By the field, then by the fields that are compared, then by path, all in the direction of the first: Firestore's
 * default, which needs no index of its own.
 */
function comparison({ orderBy, where = [] }: Query): (a: Doc, b: Doc) => number {
  const sign = orderBy?.direction === "desc" ? -1 : 1;
  const compared = where.filter(([, operator]) => operator !== "==").map(([field]) => field);
  const fields = [...(orderBy ? [orderBy.field] : []), ...compared.sort()];
  return (a, b) => {
    for (const field of fields) {
      const order = compareValues(fieldOf(a.data, field), fieldOf(b.data, field));
      if (order !== 0) return sign * order;
    }
    return sign * comparePaths(a.path, b.path);
  };
}

/** `a.b` is the field `b` in the map `a`; `undefined` where there is none. */
function fieldOf(data: unknown, field: string): unknown {
  let value = data;
  for (const name of field.split(".")) {
    if (typeof value !== "object" || value === null || Array.isArray(value) || !Object.hasOwn(value, name))
      return undefined;
    value = (value as Record<string, unknown>)[name];
  }
  return value;
}

/** A comparison holds only between values of one type; a document without the field is never found. */
function holds(found: unknown, operator: "==" | "<=" | ">=" | "<" | ">", wanted: unknown): boolean {
  if (found === undefined || rankOf(found) !== rankOf(wanted)) return false;
  const order = compareValues(found, wanted);
  switch (operator) {
    case "==":
      return order === 0;
    case "<":
      return order < 0;
    case "<=":
      return order <= 0;
    case ">":
      return order > 0;
    case ">=":
      return order >= 0;
  }
}

/** Firestore's order of types: null, booleans, numbers, strings, arrays, maps. */
function rankOf(value: unknown): number {
  if (value === null) return 0;
  if (Array.isArray(value)) return 4;
  return { boolean: 1, number: 2, string: 3 }[typeof value as string] ?? 5;
}

function compareValues(a: unknown, b: unknown): number {
  const ranks = rankOf(a) - rankOf(b);
  if (ranks !== 0) return ranks;
  if (typeof a === "string" && typeof b === "string") return compareText(a, b);
  if (Array.isArray(a) && Array.isArray(b)) return compareLists(a, b);
  if (typeof a === "object" && typeof b === "object" && a !== null && b !== null)
    return compareLists(entriesOf(a), entriesOf(b));
  return Math.sign(Number(a) - Number(b));
}

function compareLists(a: unknown[], b: unknown[]): number {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const order = compareValues(a[i], b[i]);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

const entriesOf = (map: object): unknown[] =>
  Object.entries(map)
    .sort(([a], [b]) => compareText(a, b))
    .flat();

/** Segment by segment. */
function comparePaths(a: string, b: string): number {
  return compareLists(a.split("/"), b.split("/"));
}

/** By the bytes of UTF-8, not by the units of UTF-16. */
const compareText = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));
