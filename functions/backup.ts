import { isDeepStrictEqual } from "node:util";
import type { Backup, BackupCollection, Instance } from "../shared/backup/backup.ts";
import { emptyCollection } from "../shared/backup/collection.ts";
import { later, ttlSeconds } from "../shared/backup/duration.ts";
import type { EventMap } from "../shared/backup/event.ts";
import { assertUnprotected } from "../shared/backup/instance.ts";
import { defaultParallelShards, laneKey, lanesOf } from "../shared/backup/lane.ts";
import { automaticBackupId, backupName, collectionName, instanceName } from "../shared/backup/name.ts";
import { unmarked } from "../shared/backup/transition.ts";
import { StatusError } from "../shared/error.ts";
import type { Change } from "../shared/pipeline/change.ts";
import { lockedBy } from "../shared/pipeline/held.ts";
import type { Layout, Server } from "../shared/pipeline/ports.ts";
import { registered } from "../shared/pipeline/registered.ts";
import { step } from "../shared/pipeline/step.ts";
import { readServer, writerOf } from "../shared/pipeline/take-target.ts";
import { awaitTurn, occupied } from "../shared/pipeline/turn.ts";

/** Admits or refuses a request for a backup, finds the shards, asks for lanes of them. */
export const backup = step<"backup.v1.requested", { server: Server; layout: Layout }>({
  on: "backup.v1.requested",

  async admit({ data, createTime: askTime }, change, { ids, settings }) {
    const instance = await registered(change, data.instance);
    if (instance.engine !== "SELF_MANAGED")
      throw new StatusError(
        "UNIMPLEMENTED",
        `${instance.name} is ${instance.engine}: only SELF_MANAGED instances are backed up`,
      );
    if (data.deleteInstance) assertUnprotected(instance);
    if (isAutomated(data) && instance.automatedBackupConfig.retentionSeconds === 0)
      throw new StatusError("FAILED_PRECONDITION", `${instance.name} keeps no automated backups: its retention is 0`);
    await awaitTurn(change, instance, data);
    const createTime = change.operation.postponed === undefined ? askTime : change.now;
    const writer = await writerOf(change, instance);
    if (writer !== undefined) throw occupied(change, data, restoredBy(instance, writer));
    const collection =
      (await change.read<BackupCollection>(collectionName(data.instance))) ??
      emptyCollection({ instance: instance.name, instanceUid: instance.uid, location: instance.location }, createTime);
    const other = await lockedBy(collection.creating, change);
    if (other !== undefined)
      throw occupied(
        change,
        data,
        `${instance.name} is being backed up by ${other}: one backup at a time; wait for it or cancel it`,
      );
    const deleter = await lockedBy(collection.deleting, change);
    if (deleter !== undefined)
      throw occupied(change, data, `${collection.name} is being deleted by ${deleter}: wait for it`);
    const held = change.operation.holds.find(({ kind }) => kind === "draft")?.path;
    const name = held ?? backupName(data.instance, data.backupId ?? automaticBackupId(createTime, instance.uid));
    const existing = await change.read<Backup>(name);
    if (existing !== undefined && existing.operation !== change.operation.name)
      throw new StatusError("ALREADY_EXISTS", `${name} exists already; choose another backup id`);
    if (existing !== undefined) return;
    change.put(
      name,
      draft(name, instance, data, change, { uid: ids.uuid(), bucket: settings.vaultBucket, createTime }),
    );
    change.put(collection.name, { ...unmarked(collection), creating: change.operation.name });
    change.hold({ kind: "draft", path: name });
    change.hold({ kind: "lock", path: collection.name, field: "creating" });
  },

  async run({ data }, { store, valkey }, signal) {
    const doc = await store.get<Instance>(instanceName(data.instance));
    if (doc === undefined) throw new StatusError("NOT_FOUND", `${instanceName(data.instance)} was deleted meanwhile`);
    const server = await valkey.describe(doc.data, signal);
    const layout = await valkey.plan(doc.data, signal);
    if (layout.shards.length === 0)
      throw new StatusError("UNAVAILABLE", `${doc.data.name} has no shard that serves keys`);
    return { server, layout };
  },

  async commit({ data }, { server, layout }, change) {
    const name = change.operation.holds.find(({ kind }) => kind === "draft")?.path ?? "";
    const draft = await change.read<Backup>(name);
    const instance = await change.read<Instance>(instanceName(data.instance));
    if (draft === undefined || instance === undefined) throw new StatusError("ABORTED", `${name} is gone`);
    // A restore that was admitted at the same moment as this backup is found here, at the latest: nothing was read yet.
    const writer = await writerOf(change, instance);
    if (writer !== undefined) throw new StatusError("FAILED_PRECONDITION", restoredBy(instance, writer));
    const otherWriter = await readServer(change, server);
    if (otherWriter !== undefined)
      throw new StatusError(
        "FAILED_PRECONDITION",
        `${instance.name} is being restored by ${otherWriter} under another name: ask again once that is over`,
      );
    const engineVersion = `${server.product} ${server.version}`;
    const shards = layout.shards.map(({ host: _, zone: _zone, ...plan }) => plan);
    change.put(name, { ...draft, shards, shardCount: shards.length, engineVersion, replicaCount: server.replicaCount });
    const found = asFound(instance, server, layout);
    if (!isDeepStrictEqual(found, instance)) change.put(instance.name, found);
    for (const lane of lanesOf(layout.shards, instance.maxParallelShards ?? defaultParallelShards)) {
      const taken = { backup: name, instance: instance.name, shards: lane };
      change.ask("shard.v1.requested", taken, laneKey(taken));
    }
  },
});

const restoredBy = ({ name }: Instance, writer: string): string =>
  `${name} is being restored by ${writer}: it is backed up once that is over`;

/**
 * The instance with what nobody had to say of a cluster when it was registered. Fewer replicas than are registered may be on their
 * way back.
 */
function asFound(instance: Instance, server: Server, { shards, seeds }: Layout): Instance {
  if (instance.mode !== "CLUSTER") return instance;
  const replicaCount = Math.max(instance.replicaCount, server.replicaCount);
  return { ...instance, shardCount: shards.length, replicaCount, ...(seeds.length > 0 && { seeds }) };
}

/** Whether the instance's retention decides how long it is kept. */
const isAutomated = ({ backupType, ttl }: EventMap["backup.v1.requested"]): boolean =>
  backupType === "AUTOMATED" && ttl === undefined;

function draft(
  name: string,
  instance: Instance,
  data: EventMap["backup.v1.requested"],
  change: Change,
  own: { uid: string; bucket: string; createTime: string },
): Backup {
  const backupType = data.backupType ?? "ON_DEMAND";
  const ttl = isAutomated(data) ? instance.automatedBackupConfig.retentionSeconds : ttlSeconds(data.ttl);
  return {
    name,
    ...own,
    instance: instance.name,
    instanceUid: instance.uid,
    location: instance.location,
    operation: change.operation.name,
    state: "CREATING",
    backupType,
    expireTime: later(own.createTime, ttl),
    totalSizeBytes: 0,
    mode: instance.mode,
    ...(instance.nodeType !== undefined && { nodeType: instance.nodeType }),
    shardCount: 0,
    replicaCount: instance.replicaCount,
    backupFiles: [],
    verification: "UNVERIFIED",
    pins: [],
  };
}
