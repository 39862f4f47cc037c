import { StatusError } from "../error.ts";
import type { SourcePolicy } from "./backup.ts";

/** A node of a shard, as it describes itself. */
export interface ShardNode {
  /** The cluster's id of the node; without a cluster its run id. */
  node: string;
  role: "PRIMARY" | "REPLICA";
  isLoading: boolean;
  /** Of a replica: it is connected with its primary, and no full synchronisation is under way. */
  isLinkUp: boolean;
  /** Of a replica: since it last heard of its primary. */
  lastIoSeconds: number;
  /** The history of changes, and how far this node knows it. */
  replicationId: string;
  replicationOffset: number;
  /** A child process saves or rewrites already: another snapshot waits for it, or forks beside it. */
  isForking: boolean;
  /** Commands a second. */
  load: number;
}

export interface Choice {
  policy: SourcePolicy;
  /** The node that was planned: taken before its equals. */
  planned?: string | undefined;
  /** Nodes that failed while they were read: taken where there is no other. */
  avoid?: readonly string[];
}

/** A primary pings its replicas every 10 s (repl-ping-replica-period): one that heard nothing for longer than two has a link in name only. */
const longestSilenceSeconds = 20;

/** A replica that is further behind than this is not in sync, in bytes of the replication stream; it has to catch up before it is read. */
export const largestLagBytes = 16 * 1024 * 1024;

/** Lag below this is that of bytes on their way, and says nothing about health. */
const lagStepBytes = 64 * 1024;

/**
 * The nodes of one shard that its snapshot may be taken of, the best first: replicas in sync before the primary, those that failed
 * last; then the planned one, those without a fork under way, with less lag, with less load. UNAVAILABLE: none is fit now.
 * FAILED_PRECONDITION: the policy wants a replica and there is none. `name`: of the shard, as errors name it.
 */
export function sourcesOf<T extends ShardNode>(nodes: readonly T[], choice: Choice, name: string): T[] {
  const { policy, planned, avoid = [] } = choice;
  const primary = nodes.find(({ role, isLoading }) => role === "PRIMARY" && !isLoading);
  const replicas = nodes.filter(({ role }) => role === "REPLICA");
  if (policy === "REPLICA_ONLY" && replicas.length === 0)
    throw new StatusError(
      "FAILED_PRECONDITION",
      `${name} has no replica, and source is REPLICA_ONLY: add one, or set source to PREFER_REPLICA`,
    );
  const fit = policy === "PRIMARY" ? [] : replicas.filter((replica) => isInSync(replica, primary));
  const candidates = [...fit, ...(policy !== "REPLICA_ONLY" && primary !== undefined ? [primary] : [])];
  if (candidates.length === 0) throw new StatusError("UNAVAILABLE", `${name} ${whyNone(policy, replicas, primary)}`);
  const rank = (node: T): number[] => [
    avoid.includes(node.node) ? 1 : 0,
    node.role === "PRIMARY" ? 1 : 0,
    node.node === planned ? 0 : 1,
    node.isForking ? 1 : 0,
    Math.floor(lagOf(node, primary) / lagStepBytes),
    node.load,
  ];
  return candidates.sort((one, other) => compare(rank(one), rank(other)) || (one.node < other.node ? -1 : 1));
}

/** Of the same history as its primary, and near its end. */
const isInSync = (replica: ShardNode, primary: ShardNode | undefined): boolean =>
  primary !== undefined &&
  !replica.isLoading &&
  replica.isLinkUp &&
  replica.lastIoSeconds <= longestSilenceSeconds &&
  replica.replicationId === primary.replicationId &&
  lagOf(replica, primary) <= largestLagBytes;

const lagOf = (node: ShardNode, primary: ShardNode | undefined): number =>
  Math.max(0, (primary?.replicationOffset ?? 0) - node.replicationOffset);

function whyNone(policy: SourcePolicy, replicas: readonly ShardNode[], primary: ShardNode | undefined): string {
  if (primary === undefined) return "has no primary that answers: a failover may be under way";
  const wanted = policy === "REPLICA_ONLY" ? ", and source is REPLICA_ONLY" : "";
  return `has no replica in sync with its primary, of ${replicas.length} that answer${wanted}`;
}

function compare(one: readonly number[], other: readonly number[]): number {
  const at = one.findIndex((value, index) => value !== other[index]);
  return at === -1 ? 0 : (one[at] ?? 0) - (other[at] ?? 0);
}
