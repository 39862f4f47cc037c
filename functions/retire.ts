import { type BackupCopy, copyName, retiring } from "../shared/backup/copy.ts";
import { later, timeOf } from "../shared/backup/duration.ts";
import { asStatusError } from "../shared/error.ts";
import { begin } from "../shared/pipeline/begin.ts";
import { operationIdFor } from "../shared/pipeline/identity.ts";
import type { Doc, Objects, Ports, Store } from "../shared/pipeline/ports.ts";
import { step } from "../shared/pipeline/step.ts";

/** When a copy that a hold or a retention policy keeps is tried again, in seconds. */
const deferral = 86_400;

/** Retirements that one sweep asks for at most; the next one goes on. */
const batch = 100;

/** Copies that one query answers at most. */
const pageSize = 200;

/**
 * Erases a copy whose time has come from the operator's bucket: first the commit that nothing brings back, then the
 * manifest, the files, the record. It takes recorded generations that carry the backup's Operation, and nothing else.
 */
export const retirement = step<"retirement.v1.requested", number>({
  on: "retirement.v1.requested",
  goesOn: true,

  async admit({ data: { backup, gcsBucket } }, change) {
    const path = copyName(backup, gcsBucket);
    const copy = await change.read<BackupCopy>(path);
    if (copy !== undefined) change.put(path, retiring(copy, change.now));
  },

  async run({ data: { backup, gcsBucket } }, { store, objects }, signal) {
    const copy = (await store.get<BackupCopy>(copyName(backup, gcsBucket)))?.data;
    if (copy?.retireStartTime === undefined || !(await isThere(gcsBucket, objects))) return 0;
    return await removeAll(copy, objects, signal);
  },

  async commit({ data: { backup, gcsBucket } }, blocked, change) {
    const path = copyName(backup, gcsBucket);
    const copy = await change.read<BackupCopy>(path);
    if (blocked > 0 && copy !== undefined) {
      const deferredUntil = later(change.now, deferral);
      change.put(path, { ...copy, deferredUntil });
      const message = `a hold or a retention policy keeps ${blocked} objects of ${backup} in gs://${gcsBucket}; tried again after ${deferredUntil}`;
      return await change.end({ error: { code: "FAILED_PRECONDITION", message }, isRefusal: true });
    }
    if (copy?.retireStartTime !== undefined) {
      change.remove(path);
      change.say("copy.v1.deleted", { backup, gcsBucket });
    }
    await change.end({ response: { backup, gcsBucket } });
  },
});

/**
 * Begins the retirement of every copy that has expired, but never of the newest that an instance has in a bucket. Asked
 * again by the same sweep, it begins nothing twice.
 */
export async function retireExpired(sweep: string, ports: Ports, signal: AbortSignal): Promise<void> {
  const newest = new Map<string, string | undefined>();
  let begun = 0;
  for await (const copy of dueCopies(ports.store, timeOf(ports.clock.now()))) {
    signal.throwIfAborted();
    const { name, backup, collection, gcsBucket } = copy;
    const series = `${collection} ${gcsBucket}`;
    if (!newest.has(series)) newest.set(series, await newestOf(copy, ports.store));
    if (newest.get(series) === name) continue;
    const id = operationIdFor("retirement.v1.requested", `${sweep} ${name}`);
    await begin(ports, id, "retirement.v1.requested", { backup, gcsBucket });
    begun += 1;
    if (begun === batch) return;
  }
}

/** Copies that have expired and are not put off, the longest expired first, page by page. */
async function* dueCopies(store: Store, now: string): AsyncGenerator<BackupCopy> {
  for (let after: Doc<BackupCopy> | undefined; ; ) {
    const page: Doc<BackupCopy>[] = await store.query<BackupCopy>({
      collection: "copies",
      group: true,
      where: [["expireTime", "<=", now]],
      orderBy: { field: "expireTime", direction: "asc" },
      limit: pageSize,
      ...(after !== undefined && { after }),
    });
    for (const { data } of page) if (data.deferredUntil === undefined || data.deferredUntil <= now) yield data;
    after = page.at(-1);
    if (page.length < pageSize) return;
  }
}

/** The name of the newest copy that an instance has in a bucket. */
async function newestOf({ collection, gcsBucket }: BackupCopy, store: Store): Promise<string | undefined> {
  const [newest] = await store.query<BackupCopy>({
    collection: "copies",
    group: true,
    where: [
      ["collection", "==", collection],
      ["gcsBucket", "==", gcsBucket],
    ],
    orderBy: { field: "backupCreateTime", direction: "desc" },
    limit: 1,
  });
  return newest?.path;
}

/** Whether the bucket still exists: with it, its owner has taken the copies away. */
async function isThere(bucket: string, objects: Objects): Promise<boolean> {
  try {
    await objects.describe(bucket);
    return true;
  } catch (error) {
    if (asStatusError(error).code === "NOT_FOUND") return false;
    throw error;
  }
}

/** Removes the manifest, then the files; answers how many are kept by a hold or a retention policy. */
async function removeAll({ gcsBucket, operation, objects: copied }: BackupCopy, objects: Objects, signal: AbortSignal) {
  let blocked = 0;
  for (const [index, { object, generation }] of copied.toReversed().entries()) {
    signal.throwIfAborted();
    const found = await objects.stat(gcsBucket, object);
    if (found?.generation !== generation || found.metadata.operation !== operation) continue;
    try {
      await objects.remove(found);
    } catch (error) {
      if (asStatusError(error).code !== "FAILED_PRECONDITION") throw error;
      blocked++;
    }
    if (index === 0 && blocked > 0) return blocked; // while the manifest stands, what it names stays
  }
  return blocked;
}
