import type { Backup, Instance } from "../shared/backup/backup.ts";
import { fileObject, instanceIdOf, instanceName, manifestObject, parseObjectUri } from "../shared/backup/name.ts";
import type { RestoreFile, RestorePlan } from "../shared/backup/operation.ts";
import { preflight } from "../shared/backup/preflight.ts";
import { assertReadable } from "../shared/backup/transition.ts";
import { StatusError } from "../shared/error.ts";
import type { Change } from "../shared/pipeline/change.ts";
import { existing } from "../shared/pipeline/existing.ts";
import { lockedBy } from "../shared/pipeline/held.ts";
import type { ObjectInfo, Objects, Ports } from "../shared/pipeline/ports.ts";
import { registered } from "../shared/pipeline/registered.ts";
import { step } from "../shared/pipeline/step.ts";
import { sizeOf } from "../shared/pipeline/stream.ts";
import { readManifest } from "../shared/pipeline/vault.ts";
import { check } from "../shared/rdb/check.ts";
import { factsOf } from "../shared/rdb/facts.ts";

/** A restore that somebody asked for: of a backup, or of RDB files in a bucket. */
export const restore = step<"restore.v1.requested", RestorePlan>({
  on: "restore.v1.requested",

  async admit({ data: { instance, backup } }, change) {
    await takeTarget(change, instance);
    if (backup !== undefined) await pin(change, backup);
  },

  async run({ data, progress }, ports, signal) {
    const files =
      data.backup === undefined
        ? await filesAt(data.gcsSourceUris ?? [], ports.objects, progress, signal)
        : await filesOf(data.backup, ports);
    return await planned(data.instance, data.backup ?? (data.gcsSourceUris ?? []).join(" "), files, ports, signal);
  },

  async commit({ data: { instance } }, plan, change) {
    askForParts(change, instance, plan);
  },
});

/** A restore that a file in the inbox asks for: its first folder names the instance. */
export const restoreLanded = step<"object.v1.finalized", RestorePlan>({
  on: "object.v1.finalized",

  async admit({ data: { bucket, object } }, change, { settings }) {
    await takeTarget(change, targetNamedBy(bucket, object, settings.inboxBucket));
  },

  async run({ data: { bucket, object, generation }, progress }, ports, signal) {
    const instanceId = targetNamedBy(bucket, object, ports.settings.inboxBucket);
    const files = [await readFile({ bucket, object, generation }, ports.objects, progress, signal)];
    return await planned(instanceId, `gs://${bucket}/${object}`, files, ports, signal);
  },

  async commit({ data: { bucket, object } }, plan, change, { settings }) {
    askForParts(change, targetNamedBy(bucket, object, settings.inboxBucket), plan);
  },
});

/** One restore at a time writes into an instance. */
async function takeTarget(change: Change, instanceId: string): Promise<void> {
  const instance = await registered(change, instanceId);
  const other = await lockedBy(instance.restoring, change);
  if (other !== undefined)
    throw new StatusError(
      "FAILED_PRECONDITION",
      `${instance.name} is being restored by ${other}: one restore at a time; wait for it or cancel it`,
    );
  change.put(instance.name, { ...instance, restoring: change.operation.name });
  change.hold({ kind: "lock", path: instance.name, field: "restoring" });
}

async function pin(change: Change, backup: string): Promise<void> {
  const found = await existing(change, backup);
  assertReadable(found);
  const { name } = change.operation;
  if (!found.pins.includes(name)) change.put(backup, { ...found, pins: [...found.pins, name] });
  change.hold({ kind: "pin", path: backup });
}

/** `orders/anything.rdb` in the inbox names the instance `orders`; anything else is refused. */
function targetNamedBy(bucket: string, object: string, inbox: string): string {
  const shown = `gs://${bucket}/${object.slice(0, 200)}`;
  if (bucket !== inbox) throw new StatusError("FAILED_PRECONDITION", `${shown} is not in the inbox gs://${inbox}`);
  const [folder = "", ...rest] = object.split("/");
  const isOrdinary = rest.length > 0 && rest.every((part) => part !== "" && part !== "." && part !== "..");
  if (!isOrdinary || !object.endsWith(".rdb") || rest.at(-1) === ".rdb")
    throw new StatusError("FAILED_PRECONDITION", `${shown} is not restored: expected INSTANCE/NAME.rdb`);
  try {
    return instanceIdOf(folder);
  } catch (cause) {
    throw new StatusError("FAILED_PRECONDITION", `${shown} is not restored: its folder is no instance id`, { cause });
  }
}

/** The files of a backup, as its manifest and the bucket agree on them. */
async function filesOf(backup: string, { store, objects }: Ports): Promise<RestoreFile[]> {
  const doc = await store.get<Backup>(backup);
  if (doc === undefined) throw new StatusError("ABORTED", `${backup} is gone`);
  const { bucket } = doc.data;
  const found = await objects.stat(bucket, manifestObject(backup));
  if (found === undefined)
    throw new StatusError("DATA_LOSS", `${backup} has no manifest in gs://${bucket}: it cannot be restored`);
  const manifest = await readManifest(found, backup, objects);
  const files: RestoreFile[] = [];
  for (const { fileName, createTime: _, crc32c, generation, ...facts } of manifest.backupFiles) {
    const object = fileObject(backup, Number.parseInt(fileName, 10));
    const stored = await objects.stat(bucket, object);
    if (stored?.generation !== generation || stored.crc32c !== crc32c || stored.sizeBytes !== facts.sizeBytes)
      throw new StatusError(
        "DATA_LOSS",
        `gs://${bucket}/${object} is not as the manifest names it: it cannot be restored`,
      );
    files.push({ bucket, object, generation, ...facts });
  }
  return files;
}

async function filesAt(
  uris: readonly string[],
  objects: Objects,
  progress: (doneBytes: number) => void,
  signal: AbortSignal,
): Promise<RestoreFile[]> {
  const files: RestoreFile[] = [];
  for (const uri of uris) {
    const { bucket, object } = parseObjectUri(uri);
    const found = await objects.stat(bucket, object);
    if (found === undefined) throw new StatusError("NOT_FOUND", `there is no ${uri}`);
    files.push(await readFile(found, objects, progress, signal));
  }
  return files;
}

/** Reads a file whole before anything is touched: a damaged one is refused here. */
async function readFile(
  found: Pick<ObjectInfo, "bucket" | "object" | "generation">,
  objects: Objects,
  progress: (doneBytes: number) => void,
  signal: AbortSignal,
): Promise<RestoreFile> {
  const { bucket, object, generation } = found;
  return { bucket, object, generation, ...factsOf(await check(sizeOf(objects.read(found, {}, signal), progress))) };
}

/** What will be loaded, once every check of the target holds. */
async function planned(
  instanceId: string,
  source: string,
  files: RestoreFile[],
  { store, valkey }: Ports,
  signal: AbortSignal,
): Promise<RestorePlan> {
  const instance = await store.get<Instance>(instanceName(instanceId));
  if (instance === undefined) throw new StatusError("NOT_FOUND", `${instanceName(instanceId)} was deleted meanwhile`);
  const target = await valkey.describe(instance.data, signal);
  const complaints = preflight(files, target).filter(({ isOk }) => !isOk);
  if (complaints.length > 0)
    throw new StatusError(
      "FAILED_PRECONDITION",
      `${instance.data.name} cannot take this restore: ${complaints.map(({ message }) => message).join("; ")}`,
    );
  return { source, files, target: { runId: target.runId, expiredKeys: target.expiredKeys }, loaded: [] };
}

function askForParts(change: Change, instanceId: string, plan: RestorePlan): void {
  change.operation.plan = plan;
  for (const part of plan.files.keys())
    change.ask("part.v1.requested", { instance: instanceName(instanceId), part }, part);
}
