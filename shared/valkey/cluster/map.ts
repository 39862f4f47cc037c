import { slotCount, slotRanges, slotsText } from "../../backup/slots.ts";
import { StatusError } from "../../error.ts";
import { type Address, otherNode } from "../address.ts";
import { type Ask, withClient } from "../connect.ts";
import { ifAllowed } from "../describe.ts";

export interface ClusterNode {
  id: string;
  address: Address;
  role: "PRIMARY" | "REPLICA";
  zone?: string;
}

/** A shard that serves slots, and its nodes that are online. */
export interface ClusterShard {
  /** As CLUSTER NODES writes them. */
  slots: string;
  nodes: ClusterNode[];
}

/** Where to ask about a cluster. `node`: the id of who was there; whoever is there now, where absent. */
export interface Entry {
  address: Address;
  node?: string;
}

/** What one node tells of its cluster. */
interface Answer {
  shards: ClusterShard[];
  isUp: boolean;
}

/**
 * The shards by their first slot, as the first of the entries tells that answers and sees the cluster up; asked anew at every call,
 * as nodes come and go. UNAVAILABLE: nobody answers, or slots that nobody serves.
 */
export async function clusterMap(entries: readonly Entry[], signal: AbortSignal): Promise<ClusterShard[]> {
  let down: ClusterShard[] | undefined;
  let failure: unknown;
  for (const entry of entries) {
    try {
      const answer = await answerOf(entry, signal);
      if (answer?.isUp) return covering(answer.shards, entry.address);
      down ??= answer?.shards;
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof StatusError) || error.code !== "UNAVAILABLE") throw error;
      failure ??= error;
    }
  }
  const [first] = entries;
  if (down === undefined || first === undefined) throw failure;
  return covering(down, first.address);
}

/**
 * What an entry tells of its cluster. `undefined`: at the address of a node that once was there is a stranger by now, another cluster
 * or none at all, which says nothing about this one, and must neither be read nor written.
 */
export async function answerOf({ address, node }: Entry, signal: AbortSignal): Promise<Answer | undefined> {
  const asked = withClient(address, signal, (ask) => askMap(ask, address));
  if (node === undefined) return await asked;
  try {
    const answer = await asked;
    return answer.shards.some(({ nodes }) => nodes.some(({ id }) => id === node)) ? answer : undefined;
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof StatusError) return undefined;
    throw error;
  }
}

async function askMap(ask: Ask, address: Address): Promise<Answer> {
  const info = String((await ifAllowed(ask("CLUSTER", "INFO"))) ?? "");
  const isUp = !/^cluster_state:fail/m.test(info);
  const told = await ifAllowed(ask("CLUSTER", "SHARDS"));
  if (told !== undefined) return { shards: readShards(told, address), isUp };
  return { shards: readSlots(await ask("CLUSTER", "SLOTS"), address), isUp };
}

/** Those of a cluster whose slots are all served, by their first slot. UNAVAILABLE: there are some that nobody serves. */
export function covering(shards: ClusterShard[], { endpoint }: Address): ClusterShard[] {
  const served = shards
    .flatMap(({ slots }) => slotRanges(slots))
    .reduce((sum, [first, last]) => sum + last - first + 1, 0);
  if (served === slotCount) return shards.sort((one, other) => firstSlot(one) - firstSlot(other));
  const message = `the cluster at ${endpoint} serves ${served} of ${slotCount} slots: mend it, then try again`;
  throw new StatusError("UNAVAILABLE", message);
}

const firstSlot = ({ slots }: ClusterShard): number => slotRanges(slots)[0]?.[0] ?? 0;

/** CLUSTER SHARDS: `[slots [first last …] nodes [[id … port … ip … endpoint … role … health …] …]]` for each shard. */
export function readShards(answer: unknown, address: Address): ClusterShard[] {
  return list(answer)
    .map(fields)
    .map((shard) => {
      const numbers = list(shard.get("slots")).map(Number);
      const ranges = numbers.flatMap((first, at): [number, number][] =>
        at % 2 === 0 ? [[first, numbers[at + 1] ?? first]] : [],
      );
      const nodes = list(shard.get("nodes")).map(fields);
      return {
        slots: slotsText(ranges),
        nodes: nodes.filter((node) => text(node.get("health")) === "online").map((node) => readNode(node, address)),
      };
    })
    .filter(({ slots }) => slots !== "");
}

function readNode(node: Map<string, unknown>, address: Address): ClusterNode {
  const [name, ip] = [node.get("endpoint"), node.get("ip")].map(text);
  const port = Number(node.get(address.tls ? "tls-port" : "port"));
  const zone = text(node.get("availability-zone"));
  return {
    id: text(node.get("id")),
    address: nodeAt(address, name === "?" ? ip : name, port),
    role: text(node.get("role")) === "master" ? "PRIMARY" : "REPLICA",
    ...(zone !== "" && { zone }),
  };
}

/** CLUSTER SLOTS: `[first last [host port id …] …]` for each stretch, the primary first; nodes that fail are left out by the server. */
export function readSlots(answer: unknown, address: Address): ClusterShard[] {
  const shards = new Map<string, { ranges: [number, number][]; nodes: ClusterNode[] }>();
  for (const entry of list(answer).map(list)) {
    const [first, last, ...told] = entry;
    const nodes = told.map(list).map(([host, port, id], at): ClusterNode => {
      const where = nodeAt(address, text(host), Number(port));
      return { id: text(id), address: where, role: at === 0 ? "PRIMARY" : "REPLICA" };
    });
    const key = nodes[0]?.address.endpoint ?? "";
    const shard = shards.get(key) ?? { ranges: [], nodes };
    shard.ranges.push([Number(first), Number(last)]);
    shards.set(key, shard);
  }
  return [...shards.values()].map(({ ranges, nodes }) => ({ slots: slotsText(ranges), nodes }));
}

/**
 * A node as the one that was asked names it. No host, or `?`: it is where we asked (cluster-preferred-endpoint-type unknown-endpoint, or a
 * node that knows no address of its own). FAILED_PRECONDITION: it has no port for connections like ours.
 */
export function nodeAt(asked: Address, host: string | undefined, port: number): Address {
  if (port >= 1 && port <= 65_535) return otherNode(asked, host && host !== "?" ? host : asked.host, port);
  const message = `${asked.endpoint} names a node of its cluster without a port ${asked.tls ? "for TLS" : "for connections without TLS"}`;
  throw new StatusError("FAILED_PRECONDITION", `${message}: give it one, or correct --transit-encryption-mode`);
}

/** In the older protocol a map is a list of names and values in turn. */
export function fields(value: unknown): Map<string, unknown> {
  const words = list(value);
  const map = new Map<string, unknown>();
  for (let at = 0; at + 1 < words.length; at += 2) map.set(text(words[at]), words[at + 1]);
  return map;
}

export function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

export function text(value: unknown): string {
  return value === null || value === undefined ? "" : String(value);
}
