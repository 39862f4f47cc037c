import type { Instance, Seed } from "../../backup/backup.ts";
import { sourcesOf } from "../../backup/source-node.ts";
import { StatusError } from "../../error.ts";
import type { Layout } from "../../pipeline/ports.ts";
import { type Address, addressOf, otherNode, parseEndpoint, type ResolveSecret } from "../address.ts";
import { withClient } from "../connect.ts";
import { askInfo } from "../describe.ts";
import { sourcesOfServer } from "../snapshot/server-source.ts";
import { answerOf, type ClusterShard, clusterMap, type Entry } from "./map.ts";
import { askStates } from "./node-state.ts";
import { settled } from "./shard.ts";

/** So many nodes are remembered beside the endpoint: that all of them die before the next backup is unlikely enough. */
const mostSeeds = 8;

export type Entries = [Entry, ...Entry[]];

/** Where to ask about an instance: its endpoint, then, of a cluster, the nodes that the last backup found. */
export async function entriesOf(instance: Instance, resolveSecret: ResolveSecret): Promise<Entries> {
  const address = await addressOf(instance, resolveSecret);
  const seeds = (instance.mode === "CLUSTER" ? (instance.seeds ?? []) : []).map(({ endpoint, node }): Entry => {
    const { host, port } = parseEndpoint(endpoint);
    return { address: otherNode(address, host, port), node };
  });
  return [{ address }, ...seeds];
}

/** The first entry that answers and is who it was. UNAVAILABLE, as the endpoint says it: none does. */
export async function livingEntry(entries: Entries, signal: AbortSignal): Promise<Address> {
  if (entries.length === 1) return entries[0].address;
  for (const entry of entries) {
    const isSeed = entry.node !== undefined;
    const asked = isSeed ? answerOf(entry, signal) : withClient(entry.address, signal, async () => true);
    const answer = await asked.catch((error) => {
      signal.throwIfAborted();
      if (error instanceof StatusError && error.code === "UNAVAILABLE") return undefined;
      throw error;
    });
    if (answer !== undefined) return entry.address;
  }
  return entries[0].address;
}

/** How many shards hold keys. FAILED_PRECONDITION: the server is not in the instance's mode, or slots are moving. */
export async function countShards(instance: Instance, entries: Entries, signal: AbortSignal) {
  await requireMode(instance, entries, signal);
  if (instance.mode === "CLUSTER_DISABLED") return 1;
  const shards = await clusterMap(entries, signal);
  await settledShards(instance, shards, signal);
  return shards.length;
}

/** The primaries of all shards, moving slots or not. UNAVAILABLE: slots that nobody serves, or whose primary is not online. */
export async function primariesOf(entries: Entries, signal: AbortSignal): Promise<Address[]> {
  const shards = await clusterMap(entries, signal);
  return shards.flatMap(({ slots, nodes }) => {
    const primaries = nodes.filter(({ role }) => role === "PRIMARY");
    if (primaries.length > 0) return primaries.map(({ address }) => address);
    const message = `${entries[0].address.endpoint}: the primary of slots ${slots} is not online: a failover may be under way`;
    throw new StatusError("UNAVAILABLE", message);
  });
}

/** The shards, and of each the node that is best to read; every node is asked. */
export async function plan(instance: Instance, entries: Entries, signal: AbortSignal): Promise<Layout> {
  await requireMode(instance, entries, signal);
  if (instance.mode === "CLUSTER_DISABLED") {
    const [source] = await sourcesOfServer(instance, entries[0].address, {}, signal);
    return { shards: [source === undefined ? {} : { node: source.node }], seeds: [] };
  }
  const map = await clusterMap(entries, signal);
  const policy = instance.source ?? "PREFER_REPLICA";
  const shards = (await settledShards(instance, map, signal)).map(({ name, slots, nodes }) => {
    const [source] = sourcesOf(nodes, { policy }, name);
    const ids = nodes.map(({ node }) => node);
    return { slots, node: source?.node ?? "", nodes: ids, host: source?.address.host, zone: source?.zone };
  });
  return { shards, seeds: seedsOf(map, instance.endpoint) };
}

/** Every shard, its nodes asked all at once. */
async function settledShards(instance: Instance, map: readonly ClusterShard[], signal: AbortSignal) {
  const states = await askStates(
    map.flatMap(({ nodes }) => nodes),
    signal,
  );
  const byId = new Map(states.map((state) => [state.node, state]));
  return map.map((shard, number) => {
    const nodes = shard.nodes.flatMap(({ id }) => byId.get(id) ?? []);
    return settled(shardName(instance, number), shard, nodes);
  });
}

export const shardName = ({ name }: Instance, shard: number): string => `shard ${shard} of ${name}`;

/** Some nodes from all over the cluster, the same ones as long as the nodes are the same. */
function seedsOf(map: readonly ClusterShard[], endpoint: string): Seed[] {
  const all = map.flatMap(({ nodes }) => nodes.map(({ id, address }) => ({ endpoint: address.endpoint, node: id })));
  const others = all
    .filter((other) => other.endpoint !== endpoint)
    .sort((one, other) => (one.endpoint < other.endpoint ? -1 : 1));
  const step = Math.max(1, others.length / mostSeeds);
  return Array.from({ length: mostSeeds }, (_, n) => others[Math.floor(n * step)]).filter((seed) => seed !== undefined);
}

async function requireMode(instance: Instance, entries: Entries, signal: AbortSignal): Promise<void> {
  const entry = await livingEntry(entries, signal);
  const info = await withClient(entry, signal, (ask) => askInfo(ask, entry));
  const found = info.get("cluster_enabled") === "1" ? "CLUSTER" : "CLUSTER_DISABLED";
  if (found === instance.mode) return;
  throw new StatusError(
    "FAILED_PRECONDITION",
    `${instance.name} is registered as ${instance.mode}, but ${entry.endpoint} runs as ${found}: --mode corrects that`,
  );
}
