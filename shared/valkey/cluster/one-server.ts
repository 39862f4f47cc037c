import { createHash } from "node:crypto";
import { sumOfDatabases } from "../../backup/comparison.ts";
import { slotCount } from "../../backup/slots.ts";
import { StatusError } from "../../error.ts";
import type { Server } from "../../pipeline/ports.ts";
import type { Address } from "../address.ts";
import { describe } from "../describe.ts";
import { sideBySide } from "../side-by-side.ts";
import { type SlotMap, slotMapOf } from "./slot-map.ts";

/** By so many of its nodes a cluster is known. */
const identifyingNodes = 8;

/** A primary and what it tells of itself. */
export interface DescribedNode {
  /** Its id in the cluster; absent: it is not in one. */
  id?: string | undefined;
  /** The ids of all nodes of its shard, its own too. */
  shardIds?: string[] | undefined;
  address: Address;
  server: Server;
}

/** Every primary of the cluster that a node belongs to, replica or primary. UNAVAILABLE: one of them is being replaced. */
export async function describeNodes(
  address: Address,
  signal: AbortSignal,
): Promise<{ nodes: DescribedNode[]; owners: SlotMap["owners"] }> {
  const { primaries, ids, shardIds, owners } = await slotMapOf(address, signal);
  const servers = await sideBySide(primaries, async (node) => ({
    address: node,
    server: await describe(node, signal),
  }));
  const nodes = servers.map((node, place) => ({ ...node, id: ids[place], shardIds: shardIds[place] }));
  const demoted = nodes.find(({ server }) => server.role === "REPLICA");
  if (demoted !== undefined) {
    const message = `${demoted.address.endpoint} is a replica now and still has its slots: wait for the end of the failover`;
    throw new StatusError("UNAVAILABLE", message);
  }
  return { nodes, owners };
}

/**
 * The cluster as one server: keys and memory in sum, limits by the strictest node. Functions by the node that has the
 * fewest, as each should have all of them. Its `runId` changes when any of its primaries is another, or starts anew.
 */
export function asOneServer(nodes: readonly DescribedNode[], owners: SlotMap["owners"]): Server {
  const servers = nodes.map(({ server }) => server);
  const oldest = servers.toSorted((one, other) => one.rdbVersion - other.rdbVersion)[0];
  if (oldest === undefined) throw new StatusError("UNAVAILABLE", "the cluster has no primary");
  const sum = (of: (server: Server) => number) => servers.reduce((total, server) => total + of(server), 0);
  const { product, version, rdbVersion } = oldest;
  const systemMemoryBytes = systemMemoryOf(nodes);
  const evenRoomBytes = evenRoomOf(servers, owners);
  return {
    product,
    version,
    rdbVersion,
    runId: runIdOf(servers),
    ids: nodeIdsOf(nodes),
    mode: "CLUSTER",
    role: "PRIMARY",
    replicaCount: Math.min(...servers.map(({ replicaCount }) => replicaCount)),
    databases: sumOfDatabases(servers),
    modules: oldest.modules.filter((name) => servers.every(({ modules }) => modules.includes(name))),
    ...functionsOf(servers),
    usedMemoryBytes: sum(({ usedMemoryBytes }) => usedMemoryBytes),
    maxMemoryBytes: servers.some(({ maxMemoryBytes }) => maxMemoryBytes === 0)
      ? 0
      : sum(({ maxMemoryBytes }) => maxMemoryBytes),
    ...(evenRoomBytes !== undefined && { evenRoomBytes }),
    ...strictest(servers),
    ...(systemMemoryBytes !== undefined && { systemMemoryBytes }),
    expiredKeys: sum(({ expiredKeys }) => expiredKeys),
    shards: nodes.map(({ id = "", address: { endpoint }, server: { runId, databases, expiredKeys } }) => ({
      endpoint,
      node: id,
      runId,
      databases,
      expiredKeys,
    })),
  };
}

/**
 * The same few whichever node is asked: failovers, and slots that move, change nothing about them, and a node that comes or goes takes
 * the place of one at most.
 */
const nodeIdsOf = (nodes: readonly DescribedNode[]): string[] =>
  nodes
    .flatMap(({ shardIds = [] }) => shardIds)
    .sort()
    .slice(0, identifyingNodes);

/** Short, however many primaries there are. */
function runIdOf(servers: readonly Server[]): string {
  const ids = servers.map(({ runId }) => runId).sort();
  return createHash("sha256").update(ids.join(" ")).digest("hex").slice(0, 40);
}

function functionsOf(servers: readonly Server[]): Pick<Server, "functionCount" | "functionLibraries"> {
  const counts = servers.flatMap(({ functionCount }) => functionCount ?? []);
  const libraries = servers.flatMap(({ functionLibraries }) =>
    functionLibraries === undefined ? [] : [functionLibraries],
  );
  return {
    ...(counts.length === servers.length && { functionCount: Math.min(...counts) }),
    ...(libraries.length === servers.length && { functionLibraries: [...new Set(libraries.flat())] }),
  };
}

/** A node fills up by its share of the slots, however much room the others have. */
function evenRoomOf(servers: readonly Server[], owners: SlotMap["owners"]): number | undefined {
  const slots = servers.map(() => 0);
  for (const owner of owners) slots[owner] = (slots[owner] ?? 0) + 1;
  const rooms = servers.flatMap(({ maxMemoryBytes, usedMemoryBytes }, at) =>
    maxMemoryBytes === 0
      ? []
      : Math.floor((Math.max(0, maxMemoryBytes - usedMemoryBytes) * slotCount) / (slots[at] ?? slotCount)),
  );
  return rooms.length === 0 ? undefined : Math.min(...rooms);
}

/** Limits of whoever has the lowest, and of the policies the one that drops most keys. */
function strictest(servers: readonly Server[]): Pick<Server, "maxMemoryPolicy" | "databaseCount" | "maxBulkBytes"> {
  const policies = servers.flatMap(({ maxMemoryPolicy }) => maxMemoryPolicy ?? []);
  const policy =
    policies.find((name) => name.startsWith("allkeys")) ??
    policies.find((name) => name !== "noeviction") ??
    policies[0];
  const databaseCounts = servers.flatMap(({ databaseCount }) => databaseCount ?? []);
  const bulks = servers.flatMap(({ maxBulkBytes }) => maxBulkBytes ?? []);
  return {
    ...(policy !== undefined && { maxMemoryPolicy: policy }),
    ...(databaseCounts.length > 0 && { databaseCount: Math.min(...databaseCounts) }),
    ...(bulks.length > 0 && { maxBulkBytes: Math.min(...bulks) }),
  };
}

/** Nodes on one machine share its memory. */
function systemMemoryOf(nodes: readonly DescribedNode[]): number | undefined {
  const machines = new Map(nodes.map(({ address: { host }, server }) => [host, server.systemMemoryBytes]));
  let sum = 0;
  for (const bytes of machines.values()) {
    if (bytes === undefined) return undefined;
    sum += bytes;
  }
  return sum;
}
