import type { Backup, BackupCollection } from "../backup/backup.ts";
import { added, type Totals } from "../backup/collection.ts";
import { timeOf } from "../backup/duration.ts";
import { parseBackupName, parseObjectName } from "../backup/name.ts";
import { storedObjects } from "../backup/stored-object.ts";
import { everyDocument } from "./pages.ts";
import type { Doc, ObjectInfo, Ports } from "./ports.ts";
import { createStandings } from "./standing.ts";
import { totalsOf } from "./totals.ts";
import { assertManifest, backupOf, isDisagreement, storedAs } from "./vault.ts";

/**
 * Where the catalogue and the vault do not agree. LOST: a backup without its manifest or a file, or with others than were recorded.
 * UNLISTED: a manifest without a document. ORPHAN: an object of ours and of no backup. MISCOUNTED: a collection
 * that is missing, or whose totals are not those of its backups. FOREIGN: an object that is not ours; that alone is nothing wrong.
 */
export interface Finding {
  kind: "LOST" | "UNLISTED" | "ORPHAN" | "MISCOUNTED" | "FOREIGN";
  /** The backup, the collection or the object. */
  name: string;
  detail: string;
  /** Of an object: when it was stored, and how large it is. */
  createTime?: string;
  sizeBytes?: number;
}

/**
 * Everything that does not agree, as it is found; reads only. The system works meanwhile: what does not agree is looked at a second
 * time, and passed over where it has changed in between.
 */
export async function* findings(ports: Ports, signal: AbortSignal): AsyncGenerator<Finding> {
  const totals = new Map<string, Totals>();
  for await (const doc of everyDocument<Backup>(ports.store, { collection: "backups", group: true }, signal)) {
    const { collection } = parseBackupName(doc.path);
    totals.set(collection, added(totals.get(collection) ?? nothing, doc.data));
    yield* ofBackup(doc, ports, signal);
  }
  yield* ofCollections(totals, ports, signal);
  const standingOf = createStandings(ports);
  for await (const found of ports.objects.list(ports.settings.vaultBucket, "")) {
    signal.throwIfAborted();
    const standing = await standingOf(found);
    if (standing !== "LISTED") yield* ofObject(found, standing, ports, signal);
  }
}

const nothing: Totals = { totalBackupCount: 0, totalBackupSizeBytes: 0 };

/** Manifest and files, without reading the files. One that is being taken or erased is expected to be incomplete. */
async function* ofBackup(
  { path, data, updateTime }: Doc<Backup>,
  ports: Ports,
  signal: AbortSignal,
): AsyncGenerator<Finding> {
  const { store, objects } = ports;
  if (data.state === "CREATING" || data.purgeStartTime !== undefined) return;
  const checks = [
    () => assertManifest(data, objects, signal),
    ...storedObjects(data).map((wanted) => () => storedAs(wanted, data.bucket, objects)),
  ];
  for (const check of checks) {
    signal.throwIfAborted();
    const detail = await complaintOf(check);
    if (detail === undefined) continue;
    if ((await store.get(path))?.updateTime !== updateTime) return;
    yield { kind: "LOST", name: path, detail };
  }
}

/** What a check that reads says is wrong; what keeps it from reading is thrown. */
async function complaintOf(check: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await check();
    return undefined;
  } catch (error) {
    if (isDisagreement(error)) return error.message;
    throw error;
  }
}

async function* ofCollections(
  totals: Map<string, Totals>,
  { store }: Ports,
  signal: AbortSignal,
): AsyncGenerator<Finding> {
  const missing = new Map(totals);
  for await (const { path, data } of everyDocument<BackupCollection>(
    store,
    { collection: "backupCollections" },
    signal,
  )) {
    missing.delete(path);
    if (agree(data, totals.get(path) ?? nothing)) continue;
    const found = await store.get<BackupCollection>(path);
    const counted = await totalsOf(path, store, signal);
    // Whoever adds or takes a backup writes its collection: one that has not changed was counted right.
    if (found === undefined || found.updateTime !== (await store.get(path))?.updateTime || agree(found.data, counted))
      continue;
    yield {
      kind: "MISCOUNTED",
      name: path,
      detail: `it tells of ${inWords(found.data)}, there are ${inWords(counted)}`,
    };
  }
  for (const [name, counted] of missing)
    if (counted.totalBackupCount > 0 && (await store.get(name)) === undefined)
      yield { kind: "MISCOUNTED", name, detail: `it is missing, there are ${inWords(counted)}` };
}

const agree = (a: Totals, b: Totals): boolean =>
  a.totalBackupCount === b.totalBackupCount && a.totalBackupSizeBytes === b.totalBackupSizeBytes;

const inWords = ({ totalBackupCount, totalBackupSizeBytes }: Totals): string =>
  `${totalBackupCount} backups of ${totalBackupSizeBytes} bytes`;

async function* ofObject(
  found: ObjectInfo,
  kind: Exclude<Finding["kind"], "LOST" | "MISCOUNTED">,
  ports: Ports,
  signal: AbortSignal,
): AsyncGenerator<Finding> {
  const { bucket, object: name, createTime, sizeBytes, generation } = found;
  if ((await ports.objects.stat(bucket, name))?.generation !== generation) return;
  if (kind !== "UNLISTED") {
    const detail = kind === "FOREIGN" ? "not one of ours" : "of no backup; once it is a week old a sweep erases it";
    return yield { kind, name, detail, createTime, sizeBytes };
  }
  if (parseObjectName(name)?.shard !== undefined) return; // its manifest is told of
  const reader = { operation: "", now: timeOf(ports.clock.now()) };
  const complaint = await complaintOf(() => backupOf(found, ports, reader, signal));
  const detail = complaint ?? "no document; valkeep catalogue rebuild puts it down again";
  yield { kind, name, detail, createTime, sizeBytes };
}
