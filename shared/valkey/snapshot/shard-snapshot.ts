import type { Instance } from "../../backup/backup.ts";
import { sourcesOf } from "../../backup/source-node.ts";
import { StatusError } from "../../error.ts";
import type { ShardSource, ShardTask } from "../../pipeline/ports.ts";
import type { Address } from "../address.ts";
import { type ClusterShard, clusterMap, type Entry } from "../cluster/map.ts";
import { askState, askStates, type NodeState } from "../cluster/node-state.ts";
import { moved, type SettledShard, settled } from "../cluster/shard.ts";
import { shardName } from "../cluster/topology.ts";
import { pause } from "../pause.ts";
import { type ReplicationOptions, replicate } from "./replication.ts";
import { sourcesOfServer } from "./server-source.ts";

/** How long a replica may take to reach the place where its primary was, and how often it is asked. */
const catchUpMs = 5_000;
const catchUpPauseMs = 50;

/** Whom to read, best first, and what must hold once a snapshot has been begun. */
export interface Sources {
  nodes: NodeState[];
  /** Before it is read. */
  prepare(node: NodeState): Promise<void>;
  /** Once the server has forked, which the first byte proves: what its file holds is settled by then, whatever happens later. */
  confirm(node: NodeState, history: History): Promise<void>;
}

type History = Required<Pick<ShardSource, "replicationId" | "replicationOffset">>;

/**
 * One shard's RDB file, of the best node that begins to send one; nothing is remembered from call to call, so that whoever was promoted,
 * removed or replaced meanwhile is met as it is now. A chunk is valid until the next one is asked for.
 */
export async function* shardSnapshot(
  { nodes, prepare, confirm }: Sources,
  signal: AbortSignal,
  patience: ReplicationOptions,
  onSource: (source: ShardSource) => void = () => undefined,
): AsyncGenerator<Uint8Array> {
  let failure: unknown;
  for (const node of nodes) {
    let history: History = { replicationId: "", replicationOffset: 0 };
    const stream = replicate(node.address, signal, patience, (told) => {
      history = told;
    });
    let first: IteratorResult<Uint8Array, void>;
    try {
      await prepare(node);
      first = await stream.next();
    } catch (error) {
      await stream.return();
      signal.throwIfAborted();
      // UNKNOWN: what a server answers that cannot fork, for one.
      if (!(error instanceof StatusError) || !["UNAVAILABLE", "UNKNOWN"].includes(error.code)) throw error;
      failure ??= error;
      continue;
    }
    try {
      await confirm(node, history);
      onSource({ ...history, node: node.node, sourceRole: node.role });
      if (first.done !== true) yield first.value;
      return yield* stream;
    } finally {
      await stream.return();
    }
  }
  throw failure;
}

/**
 * The sources of a cluster's shard. That its file holds exactly the planned slots, and all of them, follows from its primary: before the
 * snapshot it served those and none was moving; when the file begins, so it does, and its epoch is the same, so that none went away and
 * came back between; and a replica is read only from the place on where the primary was before. FAILED_PRECONDITION: slots have moved.
 */
export async function clusterSources(
  instance: Instance,
  entries: readonly Entry[],
  task: ShardTask,
  signal: AbortSignal,
): Promise<Sources> {
  const map = await clusterMap(entries, signal);
  requireSame(map, task, instance);
  const name = shardName(instance, task.shard);
  const found = task.slots === undefined ? map[task.shard] : map.find(({ slots }) => slots === task.slots);
  if (found === undefined) throw moved(name, task.slots ?? "of its number", map.map(({ slots }) => slots).join(", "));
  const shard = settled(name, found, await askWithNeighbours(found, map, signal));
  const { source: policy = "PREFER_REPLICA" } = instance;
  const { replicationId, replicationOffset } = shard.primary;
  return {
    nodes: sourcesOf(shard.nodes, { policy, planned: task.node, avoid: task.avoid ?? [] }, name),
    prepare: async (node) => (node.role === "REPLICA" ? await caughtUp(node, replicationOffset, signal) : undefined),
    async confirm(node, history) {
      // A primary that never had a replica begins a new history with the first one.
      const isOther = node.role === "REPLICA" && history.replicationId !== replicationId;
      if (isOther || history.replicationOffset < replicationOffset)
        throw new StatusError(
          "UNAVAILABLE",
          `${node.address.endpoint} is no longer in sync with the primary of ${name}`,
        );
      await confirmed(shard, signal);
    },
  };
}

/** Behind one name there may be another cluster by now, of the very same slots; nodes come and go, but not all of them at once. */
function requireSame(map: readonly ClusterShard[], { cluster }: ShardTask, { name, endpoint }: Instance): void {
  if (cluster === undefined || map.some(({ nodes }) => nodes.some(({ id }) => cluster.includes(id)))) return;
  throw new StatusError(
    "FAILED_PRECONDITION",
    `${name} was planned with other nodes: none of them is in the cluster that answers for ${endpoint} now; take the backup again`,
  );
}

/** The nodes of a shard. The plan keeps forks apart on a host; who is met here in place of a planned node was in no plan. */
async function askWithNeighbours(
  { nodes }: ClusterShard,
  map: readonly ClusterShard[],
  signal: AbortSignal,
): Promise<NodeState[]> {
  const own = new Set(nodes.map(({ id }) => id));
  const hosts = new Set(nodes.map(({ address }) => address.host));
  const neighbours = map
    .flatMap((shard) => shard.nodes)
    .filter(({ id, address }) => !own.has(id) && hosts.has(address.host));
  const states = await askStates([...nodes, ...neighbours], signal);
  const busy = new Set(states.filter(({ isForking }) => isForking).map(({ address }) => address.host));
  return states
    .filter(({ node }) => own.has(node))
    .map((state) => ({ ...state, isForking: busy.has(state.address.host) }));
}

/** The sources of a server without cluster mode: it is what it is, and nothing can move away from it. */
export async function serverSources(
  instance: Instance,
  address: Address,
  { shard, node, avoid = [] }: ShardTask,
  signal: AbortSignal,
): Promise<Sources> {
  if (shard !== 0) {
    const message = `${instance.name} is no cluster: it has shard 0 and no shard ${shard}`;
    throw new StatusError("FAILED_PRECONDITION", message);
  }
  const nothing = async (): Promise<void> => undefined;
  const nodes = await sourcesOfServer(instance, address, { planned: node, avoid }, signal);
  return { nodes, prepare: nothing, confirm: nothing };
}

/** Waits until the replica has applied what its primary had written when that was asked. */
async function caughtUp(replica: NodeState, offset: number, signal: AbortSignal): Promise<void> {
  const end = performance.now() + catchUpMs;
  let { replicationOffset } = replica;
  while (replicationOffset < offset) {
    if (performance.now() > end) {
      const behind = `${offset - replicationOffset} bytes behind its primary after ${catchUpMs / 1000} s`;
      throw new StatusError("UNAVAILABLE", `${replica.address.endpoint} is ${behind}`);
    }
    await pause(catchUpPauseMs, signal);
    ({ replicationOffset } = await askState(replica.address, signal));
  }
}

/** Throws unless the primary is still what it was. */
async function confirmed({ name, slots, primary }: SettledShard, signal: AbortSignal): Promise<void> {
  const { own } = await askState(primary.address, signal, { id: primary.node });
  const isSame = own?.isPrimary === true && own.id === primary.own.id && own.epoch === primary.own.epoch;
  if (own?.isMoving || (isSame && own.slots !== slots)) throw moved(name, slots, own.slots);
  if (!isSame || !own.isUp)
    throw new StatusError("UNAVAILABLE", `${name} has changed hands while its snapshot began: it is taken again`);
}
