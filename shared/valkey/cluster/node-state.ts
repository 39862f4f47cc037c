import type { ShardNode } from "../../backup/source-node.ts";
import { StatusError } from "../../error.ts";
import type { Address } from "../address.ts";
import { type Ask, withClient } from "../connect.ts";
import { type Info, parseInfo } from "../info.ts";
import { sideBySide } from "../side-by-side.ts";
import { askOwnView, type OwnView } from "./own-view.ts";

/** A node, as it describes itself. */
export interface NodeState extends ShardNode {
  address: Address;
  zone?: string;
  info: Info;
  /** Of a cluster's primary. */
  own?: OwnView;
}

/** So many nodes are asked at once: enough for a cluster of hundreds within a second, and few sockets. */
const atOnce = 64;

/** Asks one node. Loading is told, not thrown. */
export function askState(
  address: Address,
  signal: AbortSignal,
  { id, zone }: { id?: string; zone?: string } = {},
): Promise<NodeState> {
  return withClient(address, signal, async (ask) => {
    const info = await askPlainInfo(ask);
    const isPrimary = info.get("role") === "master";
    const told = zone ?? info.get("availability_zone") ?? "";
    return {
      node: id ?? info.get("run_id") ?? "",
      role: isPrimary ? "PRIMARY" : "REPLICA",
      isLoading: info.get("loading") === "1",
      isLinkUp: isPrimary || (info.get("master_link_status") === "up" && info.get("master_sync_in_progress") !== "1"),
      lastIoSeconds: info.number("master_last_io_seconds_ago"),
      replicationId: info.get("master_replid") ?? "",
      replicationOffset: info.number(isPrimary ? "master_repl_offset" : "slave_repl_offset"),
      isForking: ["rdb_bgsave_in_progress", "aof_rewrite_in_progress"].some((field) => info.get(field) === "1"),
      load: info.number("instantaneous_ops_per_sec"),
      address,
      ...(told !== "" && { zone: told }),
      info,
      ...(isPrimary && id !== undefined && { own: await askOwnView(ask) }),
    };
  });
}

/** Those of the nodes that answer, in their order; an answer that a person has to do something about is thrown. */
export async function askStates(
  nodes: readonly { address: Address; id?: string; zone?: string }[],
  signal: AbortSignal,
): Promise<NodeState[]> {
  const found = await sideBySide(nodes, (node) => ifReachable(askState(node.address, signal, node), signal), atOnce);
  return found.filter((state) => state !== undefined);
}

async function ifReachable(asked: Promise<NodeState>, signal: AbortSignal): Promise<NodeState | undefined> {
  try {
    return await asked;
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof StatusError && error.code === "UNAVAILABLE") return undefined;
    throw error;
  }
}

/** The default sections hold all that is asked for here, and not the statistics of each command. */
const askPlainInfo = async (ask: Ask): Promise<Info> => parseInfo(String(await ask("INFO")));
