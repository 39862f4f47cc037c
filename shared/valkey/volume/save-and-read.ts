import type { Instance } from "../../backup/backup.ts";
import { StatusError } from "../../error.ts";
import type { ShardSource, ShardTask } from "../../pipeline/ports.ts";
import type { Origin } from "../../rdb/origin.ts";
import type { Address } from "../address.ts";
import { type Ask, withClient } from "../connect.ts";
import { askInfo, setting } from "../describe.ts";
import { notValkey } from "../failure.ts";
import type { Info } from "../info.ts";
import { requirePrimaryLink } from "../primary-link.ts";
import { type FileState, lookAt, type OpenedFile, openFresh } from "./data-file.ts";
import { isReadOnly, isUnwritable, type Room, roomIn } from "./room.ts";
import { patienceOf, save, saved } from "./save.ts";
import { noRoom, saveFailure, wrongDirectory } from "./save-failure.ts";

export interface VolumeOptions {
  /** How long a mount may show what was there before the save, in milliseconds; 10 s where absent. */
  settlingMs?: number;
  /** How long saves are waited for, our own and those of others before it, in milliseconds; 300 s where absent. */
  patienceMs?: number;
}

/** A child takes its time to begin; the file's seconds may be cut off, and the system's coarse clock be behind. */
const CLOCK_SECONDS = 1;

/**
 * The server's data set as one RDB file: has the server save (BGSAVE), and reads the file in its data directory, which is
 * mounted here. The file is opened once, so that another save does not tear it. Whatever an operator can mend is told before
 * a save is asked for, where it can be seen: a failed save has the server refuse writes.
 */
export async function* saveAndRead(
  instance: Instance,
  { shard, askedSecondsAgo }: ShardTask,
  address: Address,
  signal: AbortSignal,
  options: VolumeOptions = {},
  onSource: (source: ShardSource) => void = () => undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  const directory = directoryOf(instance, shard);
  const opened = await withClient(address, signal, (ask) =>
    takenFrom(ask, address, directory, signal, { ...options, askedSecondsAgo }),
  );
  const { file, role } = opened;
  const { replicationId, replicationOffset } = file.origin;
  onSource({
    sourceRole: role,
    ...(replicationId !== undefined && { replicationId }),
    ...(replicationOffset !== undefined && { replicationOffset }),
  });
  try {
    yield* file.read(signal);
  } finally {
    await file.close();
  }
}

function directoryOf({ name, mode, dataDirectory }: Instance, shard: number): string {
  if (mode === "CLUSTER")
    throw new StatusError(
      "UNIMPLEMENTED",
      `${name} is a cluster: snapshot method VOLUME reads one server's data directory; register each node, or choose another method`,
    );
  if (shard !== 0)
    throw new StatusError("FAILED_PRECONDITION", `${name} is no cluster: it has shard 0 and no shard ${shard}`);
  if (dataDirectory === undefined)
    throw new StatusError("FAILED_PRECONDITION", `${name} has no data directory: set --data-directory`);
  return dataDirectory;
}

/** Where the server keeps its file, as far as it tells. */
export interface Place {
  directory?: string;
  fileName: string;
}

async function takenFrom(
  ask: Ask,
  address: Address,
  directory: string,
  signal: AbortSignal,
  { settlingMs, patienceMs, askedSecondsAgo }: VolumeOptions & { askedSecondsAgo: number | undefined },
): Promise<{ file: OpenedFile; role: "PRIMARY" | "REPLICA" }> {
  const info = await askInfo(ask, address);
  requireSource(info, address);
  const patience = patienceOf(address, patienceMs);
  const place = await placeOf(ask, address);
  const path = `${directory}/${place.fileName}`;
  const role = info.get("role") === "master" ? "PRIMARY" : "REPLICA";
  const before = await lookAt(directory, place.fileName);
  if (askedSecondsAgo !== undefined) {
    // An earlier attempt may have had it saved, and not have lived to see the end.
    const since = info.number("server_time_usec") / 1e6 - askedSecondsAgo;
    await saved(ask, address, signal, patience);
    const infos = [info, await askInfo(ask, address)];
    const file = await openFresh(path, undefined, (origin) => isSince(since, origin, infos), signal, 0);
    if (file !== undefined) return { file, role };
  }
  const room = await requireRoom(address, directory, before, info);
  let freeBytes = room?.freeBytes;
  const { isOk, askTime } = await save(ask, address, signal, patience, async () => {
    freeBytes = least(freeBytes, (await roomIn(directory))?.freeBytes);
  });
  if (!isOk) throw await failureOf(address, directory, before, info, freeBytes);
  const infos = [info, await askInfo(ask, address)];
  const isOurs = (origin: Origin) => isSince(askTime - CLOCK_SECONDS, origin, infos);
  const file = await openFresh(path, before, isOurs, signal, settlingMs);
  if (file === undefined) throw wrongDirectory(address.endpoint, directory, place.fileName, place.directory);
  return { file, role };
}

/**
 * Whether a file shows the server as it was then, or later, by its own clock and history. Of a server that never had a replica no file
 * tells a history: it can be told from another such server's by the time alone.
 */
const isSince = (seconds: number, { createSeconds, replicationId }: Origin, infos: readonly Info[]): boolean =>
  createSeconds !== undefined &&
  createSeconds >= seconds &&
  (replicationId === undefined ? !infos.every(tellsHistory) : infos.flatMap(historiesOf).includes(replicationId));

/** Whether the server writes its history into its file (rdb.c, rdbPopulateSaveInfo): a replica, or whoever keeps a backlog for some. */
const tellsHistory = (info: Info): boolean => info.get("role") === "slave" || info.get("repl_backlog_active") === "1";

function requireSource(info: Info, address: Address): void {
  if (info.get("cluster_enabled") === "1")
    throw new StatusError(
      "FAILED_PRECONDITION",
      `${address.endpoint} runs as CLUSTER: snapshot method VOLUME is for servers without cluster mode`,
    );
  requirePrimaryLink(info, address);
}

/** A server that was promoted meanwhile goes on with a history of its own. */
const historiesOf = (info: Info) => ["master_replid", "master_replid2"].map((name) => info.get(name));

/** Where the server says that it keeps its file; FAILED_PRECONDITION: by no server's rules. */
export async function placeOf(ask: Ask, address: Address): Promise<Place> {
  const [directory, fileName = "dump.rdb"] = await Promise.all(["dir", "dbfilename"].map((name) => setting(ask, name)));
  // No server takes a path there, and no answer shall have us read what lies elsewhere.
  if (fileName.includes("/") || fileName === "" || fileName === "." || fileName === "..") throw notValkey(address);
  return { ...(directory !== undefined && { directory }), fileName };
}

/** The server writes the new file beside the old one. */
async function requireRoom(
  { endpoint }: Address,
  directory: string,
  before: FileState | undefined,
  info: Info,
): Promise<Room | undefined> {
  const room = await roomIn(directory);
  const neededBytes = Math.min(before?.sizeBytes ?? 0, info.number("used_memory"));
  if (room !== undefined && room.freeBytes < neededBytes)
    throw noRoom(endpoint, directory, room.freeBytes, neededBytes);
  return room;
}

async function failureOf(
  { endpoint }: Address,
  directory: string,
  before: FileState | undefined,
  info: Info,
  freeBytes: number | undefined,
): Promise<StatusError> {
  const [room, isFileSystemReadOnly, unwritable] = await Promise.all([
    roomIn(directory),
    isReadOnly(directory),
    isUnwritable(directory, before?.uid),
  ]);
  const free = least(freeBytes, room?.freeBytes);
  return saveFailure({
    endpoint,
    directory,
    ...(free !== undefined && { freeBytes: free }),
    ...(room?.freeFiles !== undefined && { freeFiles: room.freeFiles }),
    usedMemoryBytes: info.number("used_memory_dataset"),
    isReadOnly: isFileSystemReadOnly,
    isUnwritable: unwritable,
  });
}

function least(one: number | undefined, other: number | undefined): number | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return Math.min(one, other);
}
