import type { Backup } from "../backup/backup.ts";
import { day, later } from "../backup/duration.ts";
import { manifestObject } from "../backup/name.ts";
import { asStatusError } from "../error.ts";
import { bucketExists } from "./bucket-exists.ts";
import { type Deferral, deferralOf, latest } from "./deferral.ts";
import type { ObjectInfo, Objects, Ports } from "./ports.ts";

/** What keeps a backup's files in the bucket, before anything of it is touched. */
export async function keeperOf(
  ports: Ports,
  { name, bucket, operation }: Backup,
  now: string,
): Promise<Deferral | undefined> {
  let found: Deferral | undefined;
  if (await isGone(bucket, ports)) return undefined;
  for await (const object of ports.objects.list(bucket, `${name}/`))
    if (object.metadata.operation === operation) found = latest(found, deferralOf(object, now));
  return found;
}

/** Whether a bucket that was the vault once was deleted, with all in it. The vault itself has to be there. */
export async function isGone(bucket: string, { objects, settings }: Ports): Promise<boolean> {
  return bucket !== settings.vaultBucket && !(await bucketExists(bucket, objects));
}

/**
 * Removes what one Operation wrote under a backup's name, and nothing else: the name may be in use again. The manifest
 * goes first: without it, what is left counts no more. Answers what keeps the rest, if there is one.
 */
export async function removeObjects(
  objects: Objects,
  bucket: string,
  backup: string,
  maker: string,
  now: string,
  signal: AbortSignal,
): Promise<Deferral | undefined> {
  let deferral: Deferral | undefined;
  const remove = async (found: ObjectInfo): Promise<void> => {
    try {
      await objects.remove(found);
    } catch (error) {
      if (asStatusError(error).code !== "FAILED_PRECONDITION") throw error;
      deferral = latest(deferral, deferralOf(found, now) ?? { by: "HOLD", until: later(now, day) });
    }
  };
  const isMeant = (found: ObjectInfo | undefined): found is ObjectInfo => found?.metadata.operation === maker;
  const manifest = await objects.stat(bucket, manifestObject(backup));
  if (isMeant(manifest)) await remove(manifest);
  if (deferral !== undefined) return deferral; // while the manifest stands, what it names stays
  for await (const found of objects.list(bucket, `${backup}/`)) {
    signal.throwIfAborted();
    if (isMeant(found)) await remove(found);
  }
  return deferral;
}
