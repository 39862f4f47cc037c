import { StatusError } from "../../error.ts";
import type { ScanMark, ScanOptions, ShardSource } from "../../pipeline/ports.ts";
import type { NodeState } from "../cluster/node-state.ts";
import { type ScanPatience, scan } from "../scan/scan.ts";
import type { Sources } from "./shard-snapshot.ts";

/**
 * One shard's RDB file by SCAN, or a piece of it, of the best node that begins to give one; a scan that goes on does so at its own node.
 * Who serves which slots is asked before and after: in between none went away. A chunk is valid until the next one is asked for.
 */
export async function* shardScan(
  { nodes, prepare, confirm }: Sources,
  options: ScanOptions,
  signal: AbortSignal,
  patience: ScanPatience,
  onSource: (source: ShardSource) => void = () => undefined,
): AsyncGenerator<Uint8Array> {
  const { from, onEnd } = options;
  let failure: unknown;
  for (const node of from === undefined ? nodes : [nodeOf(from, nodes)]) {
    let end: { mark: ScanMark | undefined } | undefined;
    const heard: ScanOptions = {
      ...options,
      onEnd(mark) {
        end = { mark };
      },
    };
    const stream = scan(node.address, heard, signal, patience);
    try {
      let first: IteratorResult<Uint8Array, void>;
      try {
        await prepare(node);
        first = await stream.next();
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof StatusError) || error.code !== "UNAVAILABLE") throw error;
        failure ??= error;
        continue;
      }
      onSource({ node: node.node, sourceRole: node.role });
      if (first.done !== true) yield first.value;
      yield* stream;
      // A scan shows no one place in the server's history, and so none that is too early.
      await confirm(node, { replicationId: node.replicationId, replicationOffset: Number.POSITIVE_INFINITY });
      return onEnd(end?.mark);
    } finally {
      await stream.return();
    }
  }
  throw failure;
}

function nodeOf({ endpoint }: ScanMark, nodes: readonly NodeState[]): NodeState {
  const found = nodes.find(({ address }) => address.endpoint === endpoint);
  if (found !== undefined) return found;
  throw new StatusError(
    "ABORTED",
    `${endpoint}, which was scanned, is not there any more: another node is scanned anew`,
  );
}
