import type { Instance } from "../../../shared/backup/backup.ts";
import { defaultParallelShards, lanesOf } from "../../../shared/backup/lane.ts";
import { asStatusError, ReplicationRefused, StatusError } from "../../../shared/error.ts";
import type { Layout, ShardTask, Valkey } from "../../../shared/pipeline/ports.ts";

/** So many shards that fail are told with their reasons; the others are counted. */
const mostTold = 3;

/**
 * Has a snapshot of every shard begun as a backup would, as many at once and never two on one host, and breaks it off at its first
 * bytes. Answers by which methods; throws what the first shard that fails says, with the others behind it.
 */
export async function tryShards(instance: Instance, valkey: Valkey, signal: AbortSignal): Promise<string> {
  const { shards } = await valkey.plan(instance, signal);
  const methods: string[] = [];
  const failures: StatusError[] = [];
  const lanes = lanesOf(shards, instance.maxParallelShards ?? defaultParallelShards);
  await Promise.all(
    lanes.map(async (lane) => {
      for (const shard of lane) {
        try {
          methods[shard] = await methodOf(instance, taskOf(shard, shards), valkey, signal);
        } catch (error) {
          signal.throwIfAborted();
          failures[shard] = asStatusError(error);
        }
      }
    }),
  );
  const [first] = failures.filter(Boolean);
  if (first !== undefined) throw new StatusError(first.code, complaintOf(failures, shards));
  return summaryOf(methods);
}

/** As the function `snapshot` asks for it. */
function taskOf(shard: number, shards: Layout["shards"]): ShardTask {
  const { slots, node } = shards[shard] ?? {};
  return { shard, ...(slots !== undefined && { slots }), ...(node !== undefined && { node }) };
}

async function methodOf(instance: Instance, task: ShardTask, valkey: Valkey, signal: AbortSignal): Promise<string> {
  // Some keys and no more: at a slow pace it would take minutes to fill the first piece of a file.
  const { maxKeysPerSecond: _, ...unpaced } = instance;
  const scan = () => valkey.scan(unpaced, task, { isTimeUp: () => true, onEnd: () => undefined }, signal);
  if (instance.snapshotMethod === "SCAN") {
    await begin(scan());
    return "by SCAN, as registered, FUZZY";
  }
  try {
    await begin(valkey.snapshot(instance, task, signal));
    return "by replication";
  } catch (error) {
    if (!(error instanceof ReplicationRefused) || instance.snapshotMethod !== undefined) throw error;
    await begin(scan());
    return "by SCAN, as replication is refused, FUZZY";
  }
}

/** Until anything comes; no more is taken of it. */
async function begin(stream: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const _ of stream) return;
  throw new StatusError("UNAVAILABLE", "the snapshot ended before it began");
}

function summaryOf(methods: readonly string[]): string {
  const parts = [...new Set(methods)].map((method) => {
    const count = methods.filter((other) => other === method).length;
    const given =
      methods.length === 1 ? "it gives one; it was" : `${count} of ${methods.length} shards give one; each was`;
    return `${method}: ${given} broken off at its first bytes`;
  });
  return parts.join("; ");
}

/** Failures by their shards. */
function complaintOf(failures: readonly StatusError[], shards: Layout["shards"]): string {
  const all = failures.flatMap(({ message }, shard) => {
    const { slots } = shards[shard] ?? {};
    return [slots === undefined ? message : `shard ${shard}, slots ${slots}: ${message}`];
  });
  const others = all.length > mostTold ? [`${all.length - mostTold} more shards fail`] : [];
  return [...all.slice(0, mostTold), ...others].join("; ");
}
