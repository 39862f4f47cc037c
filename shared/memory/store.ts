import { isDeepStrictEqual } from "node:util";
import { assertCollection, assertDistinct, assertDocument } from "../backup/path.ts";
import { StatusError } from "../error.ts";
import type { Doc, Store, Write } from "../pipeline/ports.ts";
import { keepable } from "./document.ts";
import { select } from "./query.ts";

/** A store that can be looked through. */
export interface MemoryStore extends Store {
  /** A copy of every document by its path. */
  all(): Record<string, unknown>;
}

/** Documents in memory, with Firestore's semantics: a put that changes nothing leaves `updateTime` as it was, too. */
export function createMemoryStore(): MemoryStore {
  let docs = new Map<string, Doc>();
  let commits = 0;

  return {
    async get<T>(path: string) {
      assertDocument(path);
      return structuredClone(docs.get(path)) as Doc<T> | undefined;
    },
    async getAll(paths) {
      for (const path of paths) assertDocument(path);
      return paths.map((path) => structuredClone(docs.get(path)));
    },
    async commit(writes) {
      assertDistinct(writes.map(({ path }) => path));
      const next = new Map(docs);
      const updateTime = timeOf(commits + 1);
      for (const write of writes) apply(next, write, updateTime);
      docs = next;
      commits += 1;
    },
    async query<T>(query: Parameters<Store["query"]>[0]) {
      assertCollection(query.collection, query.group ?? false);
      return structuredClone(select(docs.values(), query)) as Doc<T>[];
    },
    all: () => Object.fromEntries([...docs].sort().map(([path, { data }]) => [path, structuredClone(data)])),
  };
}

function apply(docs: Map<string, Doc>, write: Write, updateTime: string): void {
  const { kind, path } = write;
  assertDocument(path);
  const there = docs.get(path);
  if (kind === "create") {
    if (there !== undefined) throw lost(`create of ${path}: expected no document, found one`);
    docs.set(path, { path, data: keepable(path, write.data), updateTime });
    return;
  }
  if (write.updateTime !== undefined && write.updateTime !== there?.updateTime) {
    const found = there === undefined ? "no document" : `one of ${there.updateTime}`;
    throw lost(`${kind} of ${path}: expected the document of ${write.updateTime}, found ${found}`);
  }
  if (kind === "remove") {
    docs.delete(path);
    return;
  }
  const data = keepable(path, write.data);
  if (!isDeepStrictEqual(data, there?.data)) docs.set(path, { path, data, updateTime });
}

const lost = (message: string): StatusError => new StatusError("ABORTED", `${message}: read again`);

/** Nanoseconds count the commits: sorts as text, as Firestore's times do. */
function timeOf(commit: number): string {
  const seconds = Math.floor(commit / 1e9);
  const whole = new Date(Date.UTC(2026, 0, 1) + seconds * 1000).toISOString().slice(0, 19);
  return `${whole}.${String(commit % 1e9).padStart(9, "0")}Z`;
}
