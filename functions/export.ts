import type { Backup } from "../shared/backup/backup.ts";
import { assertNotRetiring, type BackupCopy, type CopiedObject, copyName, recorded } from "../shared/backup/copy.ts";
import type { EventType } from "../shared/backup/event.ts";
import { assertForeign, copyRetentionSeconds } from "../shared/backup/export-policy.ts";
import { assertReadable } from "../shared/backup/transition.ts";
import { StatusError } from "../shared/error.ts";
import type { Change } from "../shared/pipeline/change.ts";
import { copySet } from "../shared/pipeline/copy-set.ts";
import { existing } from "../shared/pipeline/existing.ts";
import type { Objects, Ports } from "../shared/pipeline/ports.ts";
import { step, type Work } from "../shared/pipeline/step.ts";

/** A copy that is whole in its bucket, and whether one was on record there before. */
interface Made {
  location: string;
  objects: CopiedObject[];
  wasKnown: boolean;
}

/** Copies a backup to the operator's own regional bucket, the manifest last, and checks what arrived. */
export const exportBackup = step<"export.v1.requested", Made>({
  on: "export.v1.requested",
  goesOn: true,
  isUnattended,

  async admit({ data: { backup, gcsBucket, onward }, operation }, change, { settings }) {
    for (const bucket of [gcsBucket, onward?.gcsBucket]) if (bucket !== undefined) assertForeign(bucket, settings);
    const found = await existing(change, backup);
    assertReadable(found);
    if (!found.pins.includes(operation)) change.put(backup, { ...found, pins: [...found.pins, operation] });
    change.hold({ kind: "pin", path: backup });
  },

  async run(work, ports, signal) {
    const { backup, gcsBucket } = work.data;
    const found = await sourceOf(backup, ports);
    const location = await locationOf(gcsBucket, ports.objects, found.location);
    return { location, ...(await copyTo(gcsBucket, found, found.bucket, work, ports, signal)) };
  },

  async commit({ data: { backup, gcsBucket, retention, onward } }, made, change) {
    const { totalSizeBytes: sizeBytes } = await record(change, backup, gcsBucket, retention, made);
    change.say("backup.v1.exported", { backup, gcsBucket });
    if (onward !== undefined) change.ask("copy.v1.requested", { backup, sourceBucket: gcsBucket, ...onward });
    else await change.end({ response: { uri: uriOf(gcsBucket, backup), sizeBytes } });
  },
});

/** Copies what was exported onward, to a regional bucket anywhere: checked against the manifest like the first. */
export const copyOnward = step<"copy.v1.requested", Made>({
  on: "copy.v1.requested",
  goesOn: true,
  isUnattended,

  async run(work, ports, signal) {
    const { backup, sourceBucket, gcsBucket } = work.data;
    const location = await locationOf(gcsBucket, ports.objects);
    const found = await sourceOf(backup, ports);
    return { location, ...(await copyTo(gcsBucket, found, sourceBucket, work, ports, signal)) };
  },

  async commit({ data: { backup, sourceBucket, gcsBucket, retention } }, made, change) {
    const { totalSizeBytes: sizeBytes } = await record(change, backup, gcsBucket, retention, made);
    change.say("backup.v1.copied", { backup, gcsBucket });
    const response = { uri: uriOf(sourceBucket, backup), onwardUri: uriOf(gcsBucket, backup), sizeBytes };
    await change.end({ response });
  },
});

/** A person who exports reads the refusal; a policy has nobody to read it. */
function isUnattended(request: unknown): boolean {
  return Object(request).byPolicy === true;
}

async function sourceOf(backup: string, { store }: Ports): Promise<Backup> {
  const doc = await store.get<Backup>(backup);
  if (doc === undefined) throw new StatusError("ABORTED", `${backup} is gone`);
  return doc.data;
}

/** Where a bucket is, if it is regional and, Memorystore's rule of an export, in the region `near`. */
async function locationOf(bucket: string, objects: Objects, near?: string): Promise<string> {
  const { location, locationType } = await objects.describe(bucket);
  const isNear = near === undefined || location.toLowerCase() === near.toLowerCase();
  if (locationType === "region" && isNear) return location.toLowerCase();
  const expected = `a regional bucket${near === undefined ? "" : ` in ${near}`}`;
  throw new StatusError(
    "FAILED_PRECONDITION",
    `gs://${bucket} is in ${location} (${locationType}), expected ${expected}`,
  );
}

async function copyTo(
  gcsBucket: string,
  backup: Backup,
  from: string,
  work: Pick<Work<EventType>, "resume" | "progress">,
  { store, objects }: Ports,
  signal: AbortSignal,
): Promise<Omit<Made, "location">> {
  const known = (await store.get<BackupCopy>(copyName(backup.name, gcsBucket)))?.data;
  assertNotRetiring(known);
  const copied = await copySet(backup, from, gcsBucket, objects, work, signal);
  return { objects: copied, wasKnown: known !== undefined };
}

/** Writes the copy down, unless an earlier one was erased meanwhile: then what was found there may be gone. */
async function record(
  change: Change,
  backup: string,
  gcsBucket: string,
  retention: string | undefined,
  { location, objects, wasKnown }: Made,
): Promise<BackupCopy> {
  const path = copyName(backup, gcsBucket);
  const before = await change.read<BackupCopy>(path);
  if (before?.retireStartTime !== undefined || (wasKnown && before === undefined))
    throw new StatusError("ABORTED", `the copy of ${backup} in gs://${gcsBucket} was being erased meanwhile`);
  const made = { gcsBucket, location, objects, retentionSeconds: copyRetentionSeconds(retention) };
  const copy = recorded(await existing(change, backup), made, before, change.now);
  change.put(path, copy);
  return copy;
}

const uriOf = (bucket: string, backup: string): string => `gs://${bucket}/${backup}`;
