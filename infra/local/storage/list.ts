import { type Call, param, type Reply, type Storage } from "./call.ts";
import { invalid } from "./error.ts";
import { objectResource } from "./object.ts";
import { compareNames, placeOf } from "./order.ts";
import { wholeNumber } from "./precondition.ts";

/** The most that one page holds (https://cloud.google.com/storage/docs/json_api/v1/objects/list). */
const largestPage = 1000;

/** `GET /b/B/o`: the objects in the order of their names' bytes, names that share a prefix up to the delimiter as one. */
export function listObjects(storage: Storage, call: Call): Reply {
  const { catalogue } = storage;
  const bucket = catalogue.bucket(param(call, "bucket"));
  const { prefix, delimiter, start, end, after, pageSize } = readListing(call.query);
  const items: object[] = [];
  const prefixes: string[] = [];
  let last: string | undefined;
  let isFull = false;
  const names = catalogue.names(bucket.name);
  const from = [prefix, start, after].reduce((latest, name) => (compareNames(latest, name) < 0 ? name : latest));
  for (let at = placeOf(from, names); at < names.length; at++) {
    const name = names[at] ?? "";
    if (!name.startsWith(prefix) || (end !== "" && compareNames(name, end) >= 0)) break;
    const cut = delimiter === "" ? -1 : name.indexOf(delimiter, prefix.length);
    const entry = cut < 0 ? name : name.slice(0, cut + delimiter.length);
    if (entry === last || entry === after) continue;
    isFull = items.length + prefixes.length === pageSize;
    if (isFull) break;
    if (cut < 0) items.push(objectResource(catalogue.get(bucket.name, name), bucket, storage.baseUrl));
    else prefixes.push(entry);
    last = entry;
  }
  const nextPageToken = isFull && last !== undefined ? Buffer.from(last).toString("base64url") : undefined;
  const json = { kind: "storage#objects", nextPageToken, prefixes: prefixes.length > 0 ? prefixes : undefined, items };
  return { status: 200, json };
}

function readListing(query: URLSearchParams) {
  const pageSize = wholeNumber("maxResults", query.get("maxResults") ?? String(largestPage));
  if (pageSize === 0) throw invalid("Invalid value for maxResults: expected 1 or more");
  const token = query.get("pageToken") ?? "";
  return {
    prefix: query.get("prefix") ?? "",
    delimiter: query.get("delimiter") ?? "",
    start: query.get("startOffset") ?? "",
    end: query.get("endOffset") ?? "",
    /** The last entry of the page before. */
    after: Buffer.from(token, "base64url").toString(),
    pageSize: Math.min(pageSize, largestPage),
  };
}
