import { StatusError } from "../error.ts";

/** `instances/orders`: the name of an Instance and its document path. */
export const instanceName = (instanceId: string): string => `instances/${instanceIdOf(instanceId)}`;

/** `backupCollections/orders`: the name of the collection that holds an instance's backups; it outlives the instance. */
export const collectionName = (instanceId: string): string => `backupCollections/${instanceIdOf(instanceId)}`;

/** `backupCollections/orders/backups/nightly`: a Backup's name, its document path and its prefix in the bucket. */
export const backupName = (instanceId: string, backupId: string): string =>
  `${collectionName(instanceId)}/backups/${backupIdOf(backupId)}`;

export const operationName = (operationId: string): string => `operations/${operationIdOf(operationId)}`;

/** `endpoints/127.0.0.1:6379`: the document of an endpoint in its one spelling (`endpointOf`), which holds no slash. */
export const endpointName = (endpoint: string): string => `endpoints/${endpoint}`;

/**
 * `servers/3f9a…`, `servers/10.0.0.5:6379`: the documents of what answers at an endpoint, by what it is known by there and at any other
 * one. An id that makes no document's name is left out.
 */
export const serverNames = (ids: readonly string[]): string[] =>
  ids.filter((id) => /^[A-Za-z0-9[][A-Za-z0-9.:[\]-]{0,299}$/.test(id)).map((id) => `servers/${id}`);

/** `operations/backup-3f9a/tasks/shard.v1.requested:0`. */
export const taskName = (operationId: string, taskId: string): string =>
  `${operationName(operationId)}/tasks/${taskId}`;

/** The object that holds one shard of a backup. */
export const fileObject = (backup: string, shard: number): string => `${backup}/${fileName(shard)}`;

/** Where the segments lie that one shard's file is scanned in, until they are one. */
export const segmentFolder = (backup: string, shard: number): string => `${backup}/${shard}.segments/`;

/** One of them: `20260101T020000000Z-0003`, the scan by the time it began. */
export const segmentName = (scan: string, number: number): string => `${scan}-${String(number).padStart(4, "0")}`;

/** Memorystore's BackupFile.fileName. */
export const fileName = (shard: number): string => `${shard}.rdb`;

/** The object that says where a shard's file can be cut: see `FileIndex`. */
export const indexObject = (backup: string, shard: number): string => `${backup}/${shard}.index.json`;

/** The object that is written last: without it a backup is not restorable and not counted. */
export const manifestObject = (backup: string): string => `${backup}/manifest.json`;

/** 1 to 63 characters: small letters, digits and hyphens, a letter first, no hyphen last, as Google's resource ids. */
export function instanceIdOf(text: string): string {
  if (isInstanceId(text)) return text;
  throw malformed("instance id", text, "1 to 63 of a-z, 0-9 and -, a letter first, no hyphen last");
}

export const isInstanceId = (text: string): boolean => /^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/.test(text);

/** As an instance id, but may begin with a digit and hold `_`: Memorystore's own names are `20261121020000_1a2b3c4d`. */
export function backupIdOf(text: string): string {
  if (/^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$/.test(text)) return text;
  throw malformed("backup id", text, "1 to 63 of a-z, 0-9, _ and -, a letter or digit first and last");
}

/** What a person may name a request by. */
export function requestIdOf(text: string): string {
  if (/^[A-Za-z0-9]([A-Za-z0-9._:-]{0,126}[A-Za-z0-9])?$/.test(text)) return text;
  throw malformed("request id", text, "1 to 128 of letters, digits, '.', '_', ':' and '-'");
}

function operationIdOf(text: string): string {
  if (/^[a-z]+-[a-z0-9][a-z0-9-]{0,60}$/.test(text)) return text;
  throw malformed("operation id", text, "a verb, a hyphen and letters or digits");
}

/** Takes an Operation's name apart. */
export function parseOperationName(name: string): string {
  const [root, operationId = "", ...rest] = name.split("/");
  if (root !== "operations" || rest.length > 0) throw malformed("operation name", name, "operations/OPERATION");
  return operationIdOf(operationId);
}

/** Whether a text from outside, such as an object's mark, has the shape of an Operation's name. */
export const isOperationName = (text: string): boolean => /^operations\/[a-z]+-[a-z0-9-]{1,62}$/.test(text);

/** Takes a Backup's name apart; refuses anything else, `..` and stray slashes too. */
export function parseBackupName(name: string): { instanceId: string; backupId: string; collection: string } {
  const [root, instanceId = "", child, backupId = "", ...rest] = name.split("/");
  if (root !== "backupCollections" || child !== "backups" || rest.length > 0)
    throw malformed("backup name", name, "backupCollections/INSTANCE/backups/BACKUP");
  return {
    instanceId: instanceIdOf(instanceId),
    backupId: backupIdOf(backupId),
    collection: collectionName(instanceId),
  };
}

/** Takes a BackupCollection's name apart. */
export function parseCollectionName(name: string): string {
  const [root, instanceId = "", ...rest] = name.split("/");
  if (root !== "backupCollections" || rest.length > 0)
    throw malformed("collection name", name, "backupCollections/INSTANCE");
  return instanceIdOf(instanceId);
}

/** An object of a backup: the backup's name, and the shard whose file, index or segment it is, or none for the manifest. */
export interface ObjectPlace {
  backup: string;
  shard?: number;
}

/** Takes the name of an object in the vault apart; `undefined` for every name that is not exactly one of those we write. */
export function parseObjectName(object: string): ObjectPlace | undefined {
  const found =
    /^([^/]+\/[^/]+\/[^/]+\/[^/]+)\/(?:manifest\.json|(0|[1-9]\d{0,2})(?:\.rdb|\.index\.json|\.segments\/[\dTZ]+-(?:joined-)?\d{4}))$/.exec(
      object,
    );
  const [, backup = "", shard] = found ?? [];
  try {
    parseBackupName(backup);
  } catch {
    return undefined;
  }
  return { backup, ...(shard !== undefined && { shard: Number(shard) }) };
}

/** `selections/3f9a….json`: the object in the vault that holds the pattern of a restore of single keys. */
export const selectionObject = (id: string): string => `selections/${id}.json`;

/** Takes the name of such an object apart. The error does not repeat it: somebody may have put the pattern there. */
export function parseSelectionObject(object: string): string {
  const id = /^selections\/([a-z0-9-]{8,64})\.json$/.exec(object)?.[1];
  if (id !== undefined) return id;
  throw new StatusError(
    "INVALID_ARGUMENT",
    "malformed selection: expected selections/ID.json, an object in the vault, its ID 8 to 64 of a-z, 0-9 and -",
  );
}

/** Everything in the vault by which a restore of single keys can be undone. */
export const undoPrefix = (operation: string): string =>
  `undos/${operationIdOf(operation.slice("operations/".length))}/`;

/** The list of one group of keys, by the file and the offset of the first of them: sorts as they were written. */
export const undoListObject = (operation: string, file: number, offset: number): string =>
  `${undoPrefix(operation)}${`${file}`.padStart(3, "0")}-${`${offset}`.padStart(15, "0")}.json`;

/** The keys of the group as they were, an RDB file; each attempt has its own. */
export const undoFileObject = (list: string, epoch: number): string => list.replace(/\.json$/, `-${epoch}.rdb`);

/** What came of the group, once it was written. */
export const undoResultObject = (list: string): string => list.replace(/\.json$/, "-done.json");

/** Whether an object's name is that of a list of keys. */
export const isUndoList = (object: string): boolean => /^undos\/[a-z0-9-]+\/\d{3}-\d{15}\.json$/.test(object);

/** Whether an object in the vault belongs to a restore of single keys, by its name. */
export const isOfSelection = (object: string): boolean =>
  /^(undos\/[a-z0-9-]+\/\d{3}-\d{15}(-\d+\.rdb|(-done)?\.json)|selections\/[a-z0-9-]{8,64}\.json)$/.test(object);

/** Takes an Instance's name apart. */
export function parseInstanceName(name: string): string {
  const [root, instanceId = "", ...rest] = name.split("/");
  if (root !== "instances" || rest.length > 0) throw malformed("instance name", name, "instances/INSTANCE");
  return instanceIdOf(instanceId);
}

/** A bucket's bare name, without `gs://` and without a folder: cloud.google.com/storage/docs/buckets#naming. */
export function bucketOf(text: string): string {
  if (/^[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]$/.test(text)) return text;
  throw malformed(
    "bucket",
    text,
    "a bare name, 3 to 63 of a-z, 0-9, '.', '_' and '-', a letter or digit first and last",
  );
}

/** `gs://bucket/some/object.rdb`, taken apart. */
export function parseObjectUri(uri: string): { bucket: string; object: string } {
  const found = /^gs:\/\/([a-z0-9][a-z0-9._-]{1,61}[a-z0-9])\/(.+)$/.exec(uri);
  if (found?.[1] === undefined || found[2] === undefined) throw malformed("object URI", uri, "gs://BUCKET/OBJECT");
  return { bucket: found[1], object: found[2] };
}

/**
 * The name of a backup that nobody named: its UTC date and time and the instance's short uid, as Memorystore for
 * Valkey calls its own (`[YYYYMMDDHHMMSS]_[short instance UID]`).
 */
export function automaticBackupId(createTime: string, instanceUid: string): string {
  const digits = createTime.replaceAll(/[^0-9]/g, "").slice(0, 14);
  return backupIdOf(`${digits}_${instanceUid.slice(0, 8)}`);
}

function malformed(what: string, found: string, expected: string): StatusError {
  const shown = JSON.stringify(found.length > 80 ? `${found.slice(0, 80)}…` : found);
  return new StatusError("INVALID_ARGUMENT", `malformed ${what} ${shown}: expected ${expected}`);
}
