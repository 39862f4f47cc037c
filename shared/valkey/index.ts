import type { Instance } from "../backup/backup.ts";
import { StatusError } from "../error.ts";
import type { ShardTask, Valkey } from "../pipeline/ports.ts";
import type { ResolveSecret } from "./address.ts";
import { describe } from "./describe.ts";
import { inspect } from "./inspect.ts";
import { load } from "./load.ts";
import type { ReplicationOptions } from "./replication.ts";
import { shardScan } from "./shard-scan.ts";
import { clusterSources, type Sources, serverSources, shardSnapshot } from "./shard-snapshot.ts";
import { countShards, entriesOf, livingEntry, plan, primariesOf } from "./topology.ts";
import { saveAndRead, type VolumeOptions } from "./volume/save-and-read.ts";

export type { ResolveSecret } from "./address.ts";

/** `silenceMs` holds for a load too: the server may leave commands unanswered for so long. */
export interface ValkeyOptions extends ReplicationOptions, VolumeOptions {
  /** Turns an instance's `authSecret` into the password. Asked again for each call; its errors are passed on. */
  resolveSecret: ResolveSecret;
}

/** The databases under protection, over their own protocols. Every call connects, works and disconnects. */
export function createValkey({ resolveSecret, ...patience }: ValkeyOptions): Valkey {
  const sourcesOf = async (instance: Instance, task: ShardTask, signal: AbortSignal): Promise<Sources> => {
    const entries = await entriesOf(instance, resolveSecret);
    return instance.mode === "CLUSTER"
      ? await clusterSources(instance, entries, task, signal)
      : await serverSources(instance, entries[0], task, signal);
  };

  return {
    describe: async (instance, signal) =>
      describe(await livingEntry(await entriesOf(instance, resolveSecret), signal), signal),
    async inspect(instance, signal) {
      const entries = await entriesOf(instance, resolveSecret);
      const nodes = instance.mode === "CLUSTER" ? await primariesOf(entries, signal) : [entries[0]];
      return await Promise.all(nodes.map((node) => inspect(node, signal)));
    },
    shardCount: async (instance, signal) => countShards(instance, await entriesOf(instance, resolveSecret), signal),
    plan: async (instance, signal) => plan(instance, await entriesOf(instance, resolveSecret), signal),
    async *snapshot(instance, task, signal, onSource) {
      if (instance.snapshotMethod === "VOLUME") {
        const [entry] = await entriesOf(instance, resolveSecret);
        return yield* saveAndRead(instance, task, entry, signal, patience, onSource);
      }
      yield* shardSnapshot(await sourcesOf(instance, task, signal), signal, patience, onSource);
    },
    async *scan(instance, task, options, signal, onSource) {
      const { maxKeysPerSecond } = instance;
      const sources = await sourcesOf(instance, task, signal);
      yield* shardScan(sources, options, signal, { ...patience, maxKeysPerSecond }, onSource);
    },
    async load(instance, source, options, signal) {
      const entries = await entriesOf(instance, resolveSecret);
      const shards = instance.mode === "CLUSTER" ? await countShards(instance, entries, signal) : 1;
      if (shards > 1) {
        const message = `${instance.name} has ${shards} shards: restoring into a cluster of several is not supported`;
        throw new StatusError("UNIMPLEMENTED", message);
      }
      return load(entries[0], source, options, signal, patience);
    },
  };
}
