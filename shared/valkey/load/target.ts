import { defaultMaxBulkBytes } from "../../backup/target.ts";
import { StatusError } from "../../error.ts";
import type { LoadSource, Server } from "../../pipeline/ports.ts";
import { payloadFooterBytes } from "../../rdb/payload.ts";
import type { Address } from "../address.ts";
import { asOneServer, type DescribedNode, describeNodes } from "../cluster/one-server.ts";
import { describe } from "../describe.ts";

/** What a load writes into: a single server, or all primaries of a cluster. */
export interface LoadTarget {
  endpoint: string;
  /** All of them as one. */
  server: Server;
  nodes: DescribedNode[];
  /** Of a cluster: by slot, the place of its primary among the nodes. */
  owners: Uint16Array | undefined;
}

/** What answers at the address, and with it the cluster that it belongs to. */
export async function targetAt(address: Address, isCluster: boolean, signal: AbortSignal): Promise<LoadTarget> {
  const { endpoint } = address;
  const server = await describe(address, signal);
  if (!isCluster) return { endpoint, server, nodes: [{ address, server }], owners: undefined };
  if (server.mode !== "CLUSTER") {
    const message = `${endpoint} is registered as CLUSTER, but runs without cluster mode: --mode corrects that`;
    throw new StatusError("FAILED_PRECONDITION", message);
  }
  const { nodes, owners } = await describeNodes(address, signal);
  return { endpoint, server: asOneServer(nodes, owners), nodes, owners };
}

/** What answers at an instance's endpoint: of a cluster all primaries as one. Whether the mode is the registered one it only tells. */
export async function describeInstance(address: Address, isCluster: boolean, signal: AbortSignal): Promise<Server> {
  const server = await describe(address, signal);
  if (!isCluster || server.mode !== "CLUSTER") return server;
  const { nodes, owners } = await describeNodes(address, signal);
  return asOneServer(nodes, owners);
}

/** What a server of the target tells of itself; a node that has joined since is taken for one like the others. */
export const serverAt = ({ nodes, server }: LoadTarget, { endpoint }: Address): Server =>
  nodes.find(({ address }) => address.endpoint === endpoint)?.server ?? server;

/** Before the first byte is written: FAILED_PRECONDITION for what the servers would refuse anyway. */
export function requireFit({ endpoint, server, owners }: LoadTarget, { facts }: LoadSource): void {
  const refuse = (message: string) => new StatusError("FAILED_PRECONDITION", `${endpoint} ${message}`);
  if (server.role === "REPLICA") throw refuse("is a read-only replica: name its primary as the endpoint");
  const payloadBytes = facts.largestRecordBytes + payloadFooterBytes;
  const { maxBulkBytes = defaultMaxBulkBytes } = server;
  if (payloadBytes > maxBulkBytes) {
    throw refuse(
      `takes values of ${maxBulkBytes} bytes at most, the file holds one of ${payloadBytes}: ` +
        "raise proto-max-bulk-len, or let the server load the file itself",
    );
  }
  if (owners !== undefined && Object.keys(facts.databases).some((database) => database !== "0"))
    throw refuse("is a cluster, which has one database, and the file fills others: restore into a single server");
}
