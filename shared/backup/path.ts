import { StatusError } from "../error.ts";

/**
 * Refuses with INVALID_ARGUMENT what cannot be the path of a document. Whatever store there is asks this first: Firestore would
 * say so too, but after 7 s of its library's retries.
 */
export function assertDocument(path: string): void {
  const segments = path.split("/");
  if (segments.length % 2 === 0 && segments.every(isSegment)) return;
  throw malformed("document path", path, "expected COLLECTION/DOCUMENT[/COLLECTION/DOCUMENT…]");
}

/** Refuses with INVALID_ARGUMENT what cannot be the path of a collection, or the last segment of a group of them. */
export function assertCollection(collection: string, group: boolean): void {
  const segments = collection.split("/");
  if ((group ? segments.length === 1 : segments.length % 2 === 1) && segments.every(isSegment)) return;
  const expected = group ? "expected the last segment of collections" : "expected the path of a collection";
  throw malformed("collection", collection, expected);
}

/** Refuses with INVALID_ARGUMENT a batch that writes one document twice: which of the two would win is nobody's to know. */
export function assertDistinct(paths: readonly string[]): void {
  const twice = paths.find((path, i) => paths.indexOf(path) !== i);
  if (twice !== undefined) throw new StatusError("INVALID_ARGUMENT", `${twice} is written twice in one batch`);
}

/** firebase.google.com/docs/firestore/quotas, "Constraints on document IDs": not empty, no dots alone, not `__x__`, 1,500 bytes. */
const isSegment = (segment: string): boolean =>
  segment !== "" &&
  segment !== "." &&
  segment !== ".." &&
  !/^__.*__$/.test(segment) &&
  Buffer.byteLength(segment) <= 1500;

const malformed = (what: string, found: string, expected: string): StatusError =>
  new StatusError("INVALID_ARGUMENT", `malformed ${what} ${JSON.stringify(found.slice(0, 200))}: ${expected}`);
