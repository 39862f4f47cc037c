import { manifestObject } from "../shared/backup/name.ts";
import { StatusError } from "../shared/error.ts";
import { isGoingOn } from "../shared/pipeline/held.ts";
import type { ObjectInfo, Ports } from "../shared/pipeline/ports.ts";

/**
 * Whether an object that stands where a shard's is to go was written for it by this Operation. One of another is in the way and may be
 * removed, but throws if that goes on, or if a manifest says that it belongs to a backup.
 */
export async function isOwn(
  found: ObjectInfo,
  { operation, backup, shard }: { operation: string; backup: string; shard: number },
  { objects, store }: Pick<Ports, "objects" | "store">,
): Promise<boolean> {
  const owner = found.metadata.operation ?? "";
  const isIts = owner === operation && found.metadata.shard === String(shard);
  // Asked before the manifest is looked for: an owner that has ended by now has written its manifest by now, if ever.
  if (!isIts && (await isGoingOn(owner, store)))
    throw new StatusError("ABORTED", `${found.object} belongs to ${owner}, which is still at work`);
  if ((await objects.stat(found.bucket, manifestObject(backup))) !== undefined)
    throw new StatusError("ALREADY_EXISTS", `${backup} is complete in the bucket already; nothing is overwritten`);
  return isIts;
}
