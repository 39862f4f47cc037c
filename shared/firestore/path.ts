import type { DocumentReference, Firestore } from "@google-cloud/firestore";
import { StatusError } from "../error.ts";

/** A document by its path; INVALID_ARGUMENT where it cannot be one. The server would say so too, after 7 s of the library's retries. */
export function documentOf(firestore: Firestore, path: string): DocumentReference {
  const segments = path.split("/");
  if (segments.length % 2 === 0 && segments.every(isSegment)) return firestore.doc(path);
  const expected = "expected COLLECTION/DOCUMENT[/COLLECTION/DOCUMENT…]";
  throw new StatusError(
    "INVALID_ARGUMENT",
    `malformed document path ${JSON.stringify(path.slice(0, 200))}: ${expected}`,
  );
}

/** Refuses what cannot be the path of a collection, or of a group. */
export function assertCollection(collection: string, group: boolean): void {
  const segments = collection.split("/");
  if ((group ? segments.length === 1 : segments.length % 2 === 1) && segments.every(isSegment)) return;
  const expected = group ? "expected the last segment of collections" : "expected the path of a collection";
  throw new StatusError(
    "INVALID_ARGUMENT",
    `malformed collection ${JSON.stringify(collection.slice(0, 200))}: ${expected}`,
  );
}

/** firebase.google.com/docs/firestore/quotas, "Constraints on document IDs": not empty, no dots alone, not `__x__`, 1,500 bytes. */
const isSegment = (segment: string): boolean =>
  segment !== "" &&
  segment !== "." &&
  segment !== ".." &&
  !/^__.*__$/.test(segment) &&
  Buffer.byteLength(segment) <= 1500;
