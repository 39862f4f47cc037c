import type { StoredIndex } from "../shared/backup/backup.ts";
import { indexBytes, isWorthKeeping } from "../shared/backup/file-index.ts";
import { indexObject } from "../shared/backup/name.ts";
import type { Ports } from "../shared/pipeline/ports.ts";
import type { Work } from "../shared/pipeline/step.ts";
import { collect, once } from "../shared/pipeline/stream.ts";
import type { RdbIndex } from "../shared/rdb/border.ts";
import { isOwn } from "./leftover.ts";

/**
 * Stores where a shard's file can be cut, beside it; nothing for a small one. What an earlier attempt has stored is accepted if it is the
 * same, as the same file makes it; anything else there is in the way, as with the file.
 */
export async function storeIndex(
  index: RdbIndex,
  work: Pick<Work<"shard.v1.requested">, "operation" | "data" | "renew">,
  shard: number,
  ports: Ports,
  signal: AbortSignal,
): Promise<StoredIndex | undefined> {
  if (!isWorthKeeping(index)) return undefined;
  const { operation, renew } = work;
  const { backup } = work.data;
  const { objects, settings } = ports;
  const object = indexObject(backup, shard);
  const bytes = indexBytes(index);
  const found = await objects.stat(settings.vaultBucket, object);
  if (found !== undefined) {
    const isIts = await isOwn(found, { operation, backup, shard }, ports);
    const isSame = isIts && Buffer.compare(await collect(objects.read(found, {}, signal)), bytes) === 0;
    if (isSame) return asStored(found);
    await renew();
    await objects.remove(found);
  }
  await renew();
  const metadata = { operation, shard: String(shard) };
  return asStored(await objects.create(settings.vaultBucket, object, once(bytes), metadata, signal));
}

const asStored = ({ generation, crc32c, sizeBytes }: StoredIndex): StoredIndex => ({ generation, crc32c, sizeBytes });
