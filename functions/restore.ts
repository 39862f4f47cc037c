import type { Backup, Instance } from "../shared/backup/backup.ts";
import { refusalOf } from "../shared/backup/check.ts";
import { fileObject, instanceIdOf, instanceName, manifestObject, parseObjectUri } from "../shared/backup/name.ts";
import type { Operation, RestoreFile } from "../shared/backup/operation.ts";
import type { Shape } from "../shared/backup/shape.ts";
import { assertReadable } from "../shared/backup/transition.ts";
import { asStatusError, StatusError } from "../shared/error.ts";
import type { Change } from "../shared/pipeline/change.ts";
import { existing } from "../shared/pipeline/existing.ts";
import type { ObjectInfo, Objects, Ports } from "../shared/pipeline/ports.ts";
import { registered } from "../shared/pipeline/registered.ts";
import { step } from "../shared/pipeline/step.ts";
import { sizeOf } from "../shared/pipeline/stream.ts";
import { assertFree, takeTarget } from "../shared/pipeline/take-target.ts";
import { readManifest } from "../shared/pipeline/vault.ts";
import { check } from "../shared/rdb/check.ts";
import { factsOf } from "../shared/rdb/facts.ts";
import { type Examined, examine } from "./examine.ts";

/** A restore that somebody asked for: of a backup, or of RDB files in a bucket. A dry run of it ends with its checks. */
export const restore = step<"restore.v1.requested", Examined>({
  on: "restore.v1.requested",

  async admit({ data: { instance, backup, dryRun } }, change) {
    if (dryRun) await assertFree(change, change.operation.dryRunTarget ?? (await registered(change, instance)));
    else await takeTarget(change, instance);
    if (backup !== undefined) await pin(change, backup);
  },

  async run({ data, operation, progress }, ports, signal) {
    const { instance, backup, gcsSourceUris = [], allowShrink = false } = data;
    const { files, wanted } =
      backup === undefined
        ? { files: await filesAt(gcsSourceUris, ports.objects, progress, signal), wanted: undefined }
        : await filesOf(backup, ports);
    const source = { name: backup ?? gcsSourceUris.join(" "), files, wanted, allowShrink };
    return await examine(await targetIn(operation, instance, ports.store), source, ports, signal);
  },

  async commit({ data: { instance, dryRun = false } }, examined, change) {
    await conclude(change, instance, examined, dryRun);
  },
});

/** A restore that a file in the inbox asks for: its first folder names the instance. */
export const restoreLanded = step<"object.v1.finalized", Examined>({
  on: "object.v1.finalized",

  async admit({ data: { bucket, object } }, change, { settings }) {
    await takeTarget(change, targetNamedBy(bucket, object, settings.inboxBucket));
  },

  async run({ data: { bucket, object, generation }, operation, progress }, ports, signal) {
    const instanceId = targetNamedBy(bucket, object, ports.settings.inboxBucket);
    const files = [await readFile({ bucket, object, generation }, ports.objects, progress, signal)];
    const source = { name: `gs://${bucket}/${object}`, files, wanted: undefined, allowShrink: false };
    return await examine(await targetIn(operation, instanceId, ports.store), source, ports, signal);
  },

  async commit({ data: { bucket, object } }, examined, change, { settings }) {
    await conclude(change, targetNamedBy(bucket, object, settings.inboxBucket), examined, false);
  },
});

/** Keeps a backup from being erased while the Operation reads it; refuses one that is not whole. */
export async function pin(change: Change, backup: string): Promise<void> {
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

/** The files of a backup, as its manifest and the bucket agree on them, and the shape of what they were taken of. */
export async function filesOf(
  backup: string,
  { store, objects }: Ports,
): Promise<{ files: RestoreFile[]; wanted: Shape }> {
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
  return { files, wanted: manifest };
}

/** Files in a bucket, each read whole. */
export async function filesAt(
  uris: readonly string[],
  objects: Objects,
  progress: (doneBytes: number) => void,
  signal: AbortSignal,
): Promise<RestoreFile[]> {
  const files: RestoreFile[] = [];
  for (const uri of uris) {
    const { bucket, object } = parseObjectUri(uri);
    const found = await objects.stat(bucket, object).catch((cause) => missing(uri, bucket, objects, cause));
    if (found === undefined) throw new StatusError("NOT_FOUND", `there is no ${uri}`);
    files.push(await readFile(found, objects, progress, signal));
  }
  return files;
}

/**
 * A bucket that a person named and that is not there is theirs to mend, and no trouble that passes. It is asked for only after a
 * failure: whoever may read a bucket's files need not be allowed to describe it.
 */
async function missing(uri: string, bucket: string, objects: Objects, cause: unknown): Promise<never> {
  const isMissing = await objects.describe(bucket).then(
    () => false,
    (error) => asStatusError(error).code === "NOT_FOUND",
  );
  if (isMissing) throw new StatusError("NOT_FOUND", `there is no ${uri}: its bucket does not exist`, { cause });
  throw cause;
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

/** The instance to restore into: the registered one, or the one that a dry run brought with it. */
export async function targetIn(operation: string, instanceId: string, store: Ports["store"]): Promise<Instance> {
  const brought = (await store.get<Operation>(operation))?.data.dryRunTarget;
  const instance = brought ?? (await store.get<Instance>(instanceName(instanceId)))?.data;
  if (instance === undefined) throw new StatusError("NOT_FOUND", `${instanceName(instanceId)} was deleted meanwhile`);
  return instance;
}

/** Ends what the checks refuse, and a dry run; else the parts are next. */
async function conclude(change: Change, instanceId: string, { checks, plan }: Examined, isDry: boolean): Promise<void> {
  const instance = instanceName(instanceId);
  const refusal = refusalOf(checks);
  change.operation.checks = checks;
  if (refusal !== undefined) {
    const message = `${instance} cannot take this restore: ${refusal}`;
    return await change.end({ error: { code: "FAILED_PRECONDITION", message }, isRefusal: true });
  }
  if (isDry) return await change.end({ response: { instance, checks: checks.length } });
  change.operation.plan = plan;
  for (const part of plan.files.keys()) change.ask("part.v1.requested", { instance, part }, part);
}
