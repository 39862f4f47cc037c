import { type BackupCopy, copyName, retiring } from "../shared/backup/copy.ts";
import { later, timeOf } from "../shared/backup/duration.ts";
import { asStatusError } from "../shared/error.ts";
import { begin } from "../shared/pipeline/begin.ts";
import { bucketExists } from "../shared/pipeline/bucket-exists.ts";
import { expiredCopies } from "../shared/pipeline/expired-copies.ts";
import { operationIdFor } from "../shared/pipeline/identity.ts";
import type { Objects, Ports } from "../shared/pipeline/ports.ts";
import { step } from "../shared/pipeline/step.ts";

/** When a copy that a hold or a retention policy keeps is tried again, in seconds. */
const deferral = 86_400;

/** Retirements that one sweep asks for at most; the next one goes on. */
const batch = 100;

/**
 * Erases a copy whose time has come from the operator's bucket: first the commit that nothing brings back, then the
 * manifest, the files, the record. It takes recorded generations that carry the backup's Operation, and nothing else; and
 * it is put off where the newer copy, beside which this one may go, is not in the bucket any more.
 */
export const retirement = step<"retirement.v1.requested", number | undefined>({
  on: "retirement.v1.requested",
  goesOn: true,

  async admit({ data: { backup, gcsBucket, newerBackup } }, change, { objects }) {
    const path = copyName(backup, gcsBucket);
    const copy = await change.read<BackupCopy>(path);
    if (copy === undefined) return; // erased by another Operation
    const newer = await change.read<BackupCopy>(copyName(newerBackup, gcsBucket));
    const mayGo =
      copy.retireStartTime !== undefined || !(await bucketExists(gcsBucket, objects)) || (await stands(newer, objects));
    change.put(path, mayGo ? retiring(copy, change.now) : { ...copy, deferredUntil: later(change.now, deferral) });
  },

  async run({ data: { backup, gcsBucket } }, { store, objects }, signal) {
    const copy = (await store.get<BackupCopy>(copyName(backup, gcsBucket)))?.data;
    if (copy?.retireStartTime === undefined) return undefined;
    return (await bucketExists(gcsBucket, objects)) ? await removeAll(copy, objects, signal) : 0;
  },

  async commit({ data: { backup, gcsBucket } }, blocked, change) {
    const path = copyName(backup, gcsBucket);
    const copy = await change.read<BackupCopy>(path);
    if (blocked !== undefined && blocked > 0 && copy !== undefined) {
      const deferredUntil = later(change.now, deferral);
      change.put(path, { ...copy, deferredUntil });
      const message = `a hold or a retention policy keeps ${blocked} objects of ${backup} in gs://${gcsBucket}; tried again after ${deferredUntil}`;
      return await change.end({ error: { code: "FAILED_PRECONDITION", message }, isRefusal: true });
    }
    // Of one that this Operation has put off another one may have begun the erasure since: the record is that one's to remove.
    if (blocked !== undefined && copy?.retireStartTime !== undefined) {
      change.remove(path);
      change.say("copy.v1.deleted", { backup, gcsBucket });
      return await change.end({ response: { backup, gcsBucket } });
    }
    const { deferredUntil } = copy ?? {};
    await change.end({ response: { backup, gcsBucket, ...(deferredUntil !== undefined && { deferredUntil }) } });
  },
});

/** Begins the retirement of every copy whose time has come. Asked again by the same sweep, it begins nothing twice. */
export async function retireExpired(sweep: string, ports: Ports, signal: AbortSignal): Promise<void> {
  let begun = 0;
  for await (const { copy, newerBackup } of expiredCopies(ports.store, timeOf(ports.clock.now()))) {
    signal.throwIfAborted();
    const { name, backup, gcsBucket } = copy;
    const id = operationIdFor("retirement.v1.requested", `${sweep} ${name}`);
    await begin(ports, id, "retirement.v1.requested", { backup, gcsBucket, newerBackup });
    begun += 1;
    if (begun === batch) return;
  }
}

/** Whether a copy is in its bucket as it is on record: its owner may have taken it away. */
async function stands(copy: BackupCopy | undefined, objects: Objects): Promise<boolean> {
  if (copy === undefined || copy.retireStartTime !== undefined) return false;
  const manifest = copy.objects.at(-1);
  if (manifest === undefined) return false;
  return (await objects.stat(copy.gcsBucket, manifest.object))?.generation === manifest.generation;
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
