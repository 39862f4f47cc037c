import type { Instance } from "../backup/backup.ts";
import { StatusError } from "../error.ts";
import { type Address, otherNode } from "./address.ts";
import { type Ask, withClient } from "./connect.ts";
import { askInfo, ifAllowed } from "./describe.ts";

/** Slots of every cluster (Valkey cluster.h, CLUSTER_SLOTS). */
const SLOTS = 16_384;

export interface Node {
  address: Address;
  role: "PRIMARY" | "REPLICA";
}

/** A shard that serves slots; its nodes that are online. */
interface Shard {
  firstSlot: number;
  slotCount: number;
  nodes: Node[];
}

/** How many shards hold keys. FAILED_PRECONDITION: the server is not in the instance's mode. */
export async function countShards(instance: Instance, address: Address, signal: AbortSignal): Promise<number> {
  const isCluster = await withClient(address, signal, async (ask) => {
    const info = await askInfo(ask, address);
    return info.get("cluster_enabled") === "1";
  });
  const found = isCluster ? "CLUSTER" : "CLUSTER_DISABLED";
  if (found !== instance.mode) {
    throw new StatusError(
      "FAILED_PRECONDITION",
      `${instance.name} is registered as ${instance.mode}, but ${address.endpoint} runs as ${found}: register it anew`,
    );
  }
  return isCluster ? (await shardsOf(address, signal)).length : 1;
}

/** The node of a shard to take a snapshot of: a replica where one is online. */
export async function nodeOf(address: Address, shard: number, signal: AbortSignal): Promise<Node> {
  const shards = await shardsOf(address, signal);
  const nodes = shards[shard]?.nodes ?? [];
  const node = nodes.find(({ role }) => role === "REPLICA") ?? nodes[0];
  if (shards[shard] === undefined) {
    const message = `${address.endpoint} has ${shards.length} shards now, and no shard ${shard}: take the backup again`;
    throw new StatusError("FAILED_PRECONDITION", message);
  }
  if (node === undefined) {
    throw new StatusError(
      "UNAVAILABLE",
      `no node of shard ${shard} of ${address.endpoint} is online: mend the cluster`,
    );
  }
  return node;
}

/** The primaries of all shards, moving slots or not. UNAVAILABLE: slots that nobody serves. */
export async function primariesOf(address: Address, signal: AbortSignal): Promise<Address[]> {
  return (await servingShards(address, signal)).flatMap(primariesIn);
}

/** Shards by their first slot. UNAVAILABLE: slots nobody serves. FAILED_PRECONDITION: slots are moving. */
async function shardsOf(address: Address, signal: AbortSignal): Promise<Shard[]> {
  const shards = await servingShards(address, signal);
  for (const primary of shards.flatMap(primariesIn))
    await withClient(primary, signal, (ask) => requireRest(ask, primary));
  return shards;
}

const primariesIn = ({ nodes }: Shard): Address[] =>
  nodes.filter(({ role }) => role === "PRIMARY").map(({ address }) => address);

async function servingShards(address: Address, signal: AbortSignal): Promise<Shard[]> {
  const answer = await withClient(address, signal, (ask) => ask("CLUSTER", "SHARDS"));
  const shards = list(answer)
    .map((shard) => readShard(fields(shard), address))
    .filter(({ slotCount }) => slotCount > 0)
    .sort((one, other) => one.firstSlot - other.firstSlot);
  const served = shards.reduce((sum, { slotCount }) => sum + slotCount, 0);
  if (served !== SLOTS) {
    const message = `the cluster at ${address.endpoint} serves ${served} of ${SLOTS} slots: mend it, then back it up`;
    throw new StatusError("UNAVAILABLE", message);
  }
  return shards;
}

/** Each node knows only of its own moving slots: marks in CLUSTER NODES, or, from Valkey 9.0, unfinished migrations. */
async function requireRest(ask: Ask, { endpoint }: Address): Promise<void> {
  const nodes = String(await ask("CLUSTER", "NODES"));
  const migrations = list(await ifAllowed(ask("CLUSTER", "GETSLOTMIGRATIONS"))).map((one) =>
    text(fields(one).get("state")),
  );
  const isMoving = /\[\d+-[<>]-/.test(nodes) || migrations.some((state) => !/^(success|failed|cancel+ed)$/.test(state));
  if (isMoving) {
    throw new StatusError(
      "FAILED_PRECONDITION",
      `slots are moving at ${endpoint}: take the backup once they have arrived`,
    );
  }
}

function readShard(shard: Map<string, unknown>, address: Address): Shard {
  const slots = list(shard.get("slots")).map(Number);
  let slotCount = 0;
  for (let at = 0; at + 1 < slots.length; at += 2) slotCount += Number(slots[at + 1]) - Number(slots[at]) + 1;
  const nodes = list(shard.get("nodes"))
    .map(fields)
    .filter((node) => text(node.get("health")) === "online")
    .map((node) => readNode(node, address));
  return { firstSlot: Math.min(...slots), slotCount, nodes };
}

function readNode(node: Map<string, unknown>, address: Address): Node {
  const names = [node.get("endpoint"), node.get("ip")].map(text);
  const host = names.find((name) => name !== "" && name !== "?") ?? address.host;
  const port = Number(node.get(address.tls ? "tls-port" : "port"));
  return { address: otherNode(address, host, port), role: text(node.get("role")) === "master" ? "PRIMARY" : "REPLICA" };
}

/** In the older protocol a map is a list of names and values in turn. */
function fields(value: unknown): Map<string, unknown> {
  const words = list(value);
  const map = new Map<string, unknown>();
  for (let at = 0; at + 1 < words.length; at += 2) map.set(text(words[at]), words[at + 1]);
  return map;
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function text(value: unknown): string {
  return value === null || value === undefined ? "" : String(value);
}
