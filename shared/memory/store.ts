import { isDeepStrictEqual } from "node:util";
import { assertCollection, assertDistinct, assertDocument } from "../backup/path.ts";
import { StatusError } from "../error.ts";
import type { Doc, Query, Store, Write } from "../pipeline/ports.ts";
import { copied, freeze, keepable } from "./document.ts";
import { select } from "./query.ts";

/** A store that can be looked through. */
export interface MemoryStore extends Store {
  /** A copy of every document by its path. */
  all(): Record<string, unknown>;
}

/**
 * Documents in memory, with Firestore's semantics: a put that changes nothing leaves `updateTime` as it was, too. With
 * `isShared` they are handed out as they are kept, not as copies, and whoever changes one throws: copies would take a fifth
 * of the time of tests that read a hundred thousand of them.
 */
export function createMemoryStore({ isShared = false }: { isShared?: boolean } = {}): MemoryStore {
  const given = isShared ? <T>(doc: T): T => doc : copied;
  const docs = new Map<string, Doc>();
  /** The same by their collections, so that a query looks at those alone that it asks for. */
  const collections = new Map<string, Map<string, Doc>>();
  let commits = 0;

  function put(path: string, doc: Doc | undefined): void {
    const collection = path.slice(0, path.lastIndexOf("/"));
    const members = collections.get(collection) ?? new Map<string, Doc>();
    if (doc === undefined) {
      docs.delete(path);
      members.delete(path);
    } else {
      if (isShared) freeze(doc);
      docs.set(path, doc);
      members.set(path, doc);
    }
    if (members.size > 0) collections.set(collection, members);
    else collections.delete(collection);
  }

  function* candidates({ collection, group }: Query): Generator<Doc> {
    for (const [name, members] of group ? collections : [[collection, collections.get(collection)] as const])
      if (members !== undefined && (!group || name.slice(name.lastIndexOf("/") + 1) === collection))
        yield* members.values();
  }

  return {
    async get<T>(path: string) {
      assertDocument(path);
      return given(docs.get(path)) as Doc<T> | undefined;
    },
    async getAll(paths) {
      for (const path of paths) assertDocument(path);
      return paths.map((path) => given(docs.get(path)));
    },
    async commit(writes) {
      assertDistinct(writes.map(({ path }) => path));
      const updateTime = timeOf(commits + 1);
      const changes = writes.map((write) => [write.path, applied(docs.get(write.path), write, updateTime)] as const);
      for (const [path, doc] of changes) put(path, doc);
      commits += 1;
    },
    async query<T>(query: Parameters<Store["query"]>[0]) {
      assertCollection(query.collection, query.group ?? false);
      return given(select(candidates(query), query)) as Doc<T>[];
    },
    all: () => Object.fromEntries([...docs].sort().map(([path, { data }]) => [path, copied(data)])),
  };
}

/** What a write makes of the document that is there; ABORTED where its precondition does not hold. */
function applied(there: Doc | undefined, write: Write, updateTime: string): Doc | undefined {
  const { kind, path } = write;
  assertDocument(path);
  if (kind === "create") {
    if (there !== undefined) throw lost(`create of ${path}: expected no document, found one`);
    return { path, data: keepable(path, write.data), updateTime };
  }
  if (write.updateTime !== undefined && write.updateTime !== there?.updateTime) {
    const found = there === undefined ? "no document" : `one of ${there.updateTime}`;
    throw lost(`${kind} of ${path}: expected the document of ${write.updateTime}, found ${found}`);
  }
  if (kind === "remove") return undefined;
  const data = keepable(path, write.data);
  return isDeepStrictEqual(data, there?.data) ? there : { path, data, updateTime };
}

const lost = (message: string): StatusError => new StatusError("ABORTED", `${message}: read again`);

/** Nanoseconds count the commits: sorts as text, as Firestore's times do. */
function timeOf(commit: number): string {
  const seconds = Math.floor(commit / 1e9);
  const whole = new Date(Date.UTC(2026, 0, 1) + seconds * 1000).toISOString().slice(0, 19);
  return `${whole}.${String(commit % 1e9).padStart(9, "0")}Z`;
}
