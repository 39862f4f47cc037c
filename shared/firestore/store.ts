import { setTimeout as sleep } from "node:timers/promises";
import {
  type DocumentReference,
  type DocumentSnapshot,
  FieldPath,
  FieldValue,
  Firestore,
  type WriteBatch,
} from "@google-cloud/firestore";
import { assertDistinct, assertDocument } from "../backup/path.ts";
import { StatusError } from "../error.ts";
import type { Doc, Query, Store, Write } from "../pipeline/ports.ts";
import { translated } from "./error.ts";
import { queryOf } from "./query.ts";
import { timeOf, timestampOf } from "./time.ts";

/** The library's client; FIRESTORE_EMULATOR_HOST in the environment leads it to an emulator. End it with `terminate()`. */
export function createFirestore(options: { projectId: string }): Firestore {
  return new Firestore({ projectId: options.projectId, ignoreUndefinedProperties: true });
}

/**
 * Documents in Firestore. Each call ends within `deadlineMs`, 30 s by default, with UNAVAILABLE at the latest; a commit
 * that ended so may still be applied.
 */
export function createStore(firestore: Firestore, options: { deadlineMs?: number } = {}): Store {
  const { deadlineMs = 30_000 } = options;

  async function call<T>(what: string, isCommit: boolean, prepare: () => () => Promise<T>): Promise<T> {
    const run = checked(what, prepare);
    try {
      return await within(deadlineMs, what, run());
    } catch (error) {
      throw translated(error, what, isCommit);
    }
  }

  return {
    get<T>(path: string) {
      return call(`reading ${path}`, false, () => {
        const reference = documentOf(firestore, path);
        return async () => docOf<T>(await reference.get());
      });
    },
    async getAll(paths) {
      if (paths.length === 0) return [];
      return call(`reading ${paths[0]} and ${paths.length - 1} more`, false, () => {
        const references = paths.map((path) => documentOf(firestore, path));
        return async () => (await firestore.getAll(...references)).map((snapshot) => docOf(snapshot));
      });
    },
    async commit(writes) {
      if (writes.length === 0) return;
      const what = `committing ${writes.map(({ kind, path }) => `${kind} ${path}`).join(", ")}`;
      await call(what.slice(0, 1000), true, () => {
        assertDistinct(writes.map(({ path }) => path));
        const batch = firestore.batch();
        for (const write of writes) add(firestore, batch, write);
        return () => batch.commit();
      });
    },
    query<T>(query: Query) {
      return call(`querying ${query.collection}`, false, () => {
        const built = queryOf(firestore, query);
        return async () => (await built.get()).docs.map((snapshot) => keptDoc<T>(snapshot));
      });
    },
  };
}

function documentOf(firestore: Firestore, path: string): DocumentReference {
  assertDocument(path);
  return firestore.doc(path);
}

/**
 * A put is two writes of one document. No call of the library replaces a document under a guard: `set` takes no
 * precondition, and `update` keeps the fields that it does not name. A commit applies its writes in order and whole or
 * not at all (google.firestore.v1.CommitRequest), so an `update` that only carries the guard, followed by a `set`, is
 * one. (`delete` with the guard and `create` would do as well, but make a new document with a new createTime.)
 */
function add(firestore: Firestore, batch: WriteBatch, write: Write): void {
  const reference = documentOf(firestore, write.path);
  switch (write.kind) {
    case "create":
      batch.create(reference, jsonOf(write.data));
      return;
    case "put":
      batch.update(reference, guardField, FieldValue.delete(), { lastUpdateTime: timestampOf(write.updateTime) });
      batch.set(reference, jsonOf(write.data));
      return;
    case "remove":
      if (write.updateTime === undefined) batch.delete(reference);
      else batch.delete(reference, { lastUpdateTime: timestampOf(write.updateTime) });
  }
}

/** A field that no document has: an update must name one. */
const guardField = new FieldPath("guard-of-the-next-write");

/** What JSON makes of it, so that no store keeps what another would not. */
const jsonOf = (data: object): Record<string, unknown> => JSON.parse(JSON.stringify(data)) as Record<string, unknown>;

function docOf<T>(snapshot: DocumentSnapshot): Doc<T> | undefined {
  return snapshot.exists ? keptDoc<T>(snapshot) : undefined;
}

function keptDoc<T>(snapshot: DocumentSnapshot): Doc<T> {
  const { updateTime } = snapshot;
  if (updateTime === undefined) throw new StatusError("UNKNOWN", `reading ${snapshot.ref.path}: it has no updateTime`);
  return { path: snapshot.ref.path, data: snapshot.data() as T, updateTime: timeOf(updateTime) };
}

/** What the library refuses before it asks anybody is the caller's mistake. */
function checked<T>(what: string, prepare: () => T): T {
  try {
    return prepare();
  } catch (error) {
    if (error instanceof StatusError) throw error;
    const said = error instanceof Error ? error.message : String(error);
    throw new StatusError("INVALID_ARGUMENT", `${what}: ${said.slice(0, 500)}`, { cause: error });
  }
}

/** The library repeats calls for minutes; nobody here waits that long. */
async function within<T>(deadlineMs: number, what: string, call: Promise<T>): Promise<T> {
  const settled = new AbortController();
  const late = sleep(deadlineMs, undefined, { signal: settled.signal }).then(() => {
    throw new StatusError("UNAVAILABLE", `${what}: Firestore gave no answer within ${deadlineMs / 1000} s`);
  });
  try {
    return await Promise.race([call, late]);
  } finally {
    settled.abort();
  }
}
