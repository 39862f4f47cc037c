import type { Instance } from "../../backup/backup.ts";
import { type Choice, sourcesOf } from "../../backup/source-node.ts";
import { type Address, otherNode } from "../address.ts";
import { askState, askStates, type NodeState } from "../cluster/node-state.ts";

/**
 * The nodes that the snapshot of a server without cluster mode may be taken of, the best first. Without a `source` that is the registered
 * endpoint, whatever it is: people name the node that they want read. With one, its primary and replicas are looked for as they
 * announce themselves; behind address translation that may lead nowhere, or to a stranger, so only who answers and tells the
 * same history counts. UNAVAILABLE, FAILED_PRECONDITION: nobody is what `source` asks for.
 */
export async function sourcesOfServer(
  instance: Instance,
  address: Address,
  choice: Omit<Choice, "policy">,
  signal: AbortSignal,
): Promise<NodeState[]> {
  const named = await askState(address, signal);
  const { source: policy } = instance;
  if (policy === undefined) return [named];
  if (policy === "PREFER_REPLICA" && named.role === "REPLICA") return [named];
  const primary = named.role === "PRIMARY" ? named : await primaryOf(named, signal);
  const others =
    primary === undefined ? [] : replicasOf(primary).filter(({ endpoint }) => endpoint !== address.endpoint);
  const replicas =
    policy === "PRIMARY"
      ? []
      : await askStates(
          others.map((each) => ({ address: each })),
          signal,
        );
  const nodes = [primary, named, ...replicas].filter((node) => node !== undefined);
  const unique = [...new Map(nodes.map((node) => [node.node, node])).values()];
  return sourcesOf(unique, { ...choice, policy }, instance.name);
}

/** The primary that a replica names, if it answers and is one. */
async function primaryOf(replica: NodeState, signal: AbortSignal): Promise<NodeState | undefined> {
  const { info, address } = replica;
  const host = info.get("master_host");
  if (host === undefined || host === "") return undefined;
  const [found] = await askStates([{ address: otherNode(address, host, info.number("master_port")) }], signal);
  return found?.role === "PRIMARY" && found.replicationId === replica.replicationId ? found : undefined;
}

/** `slave0:ip=10.0.0.4,port=6379,state=online,offset=…,lag=…`, as INFO has it. */
function replicasOf({ info, address }: Pick<NodeState, "info" | "address">): Address[] {
  return Object.entries(info.fields).flatMap(([field, value]) => {
    if (!/^slave\d+$/.test(field)) return [];
    const told = new Map(
      value.split(",").map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)]),
    );
    const [ip = "", port = ""] = [told.get("ip"), told.get("port")];
    return told.get("state") === "online" && ip !== "" ? [otherNode(address, ip, Number(port))] : [];
  });
}
