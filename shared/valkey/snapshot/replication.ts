import { StatusError } from "../../error.ts";
import type { ShardSource } from "../../pipeline/ports.ts";
import type { Address } from "../address.ts";
import { asReplicationRefused, brokenLink, notValkey, replyFailure } from "../failure.ts";
import { Link } from "../link.ts";
import { command } from "../resp.ts";
import { SnapshotFrame } from "./frame.ts";

/** A primary that waits or saves sends a newline about once a second; so much silence is a stall. */
const SILENCE_MS = 30_000;

/** Two of these hold what comes while the consumer works; in 8.0.1 smaller ones cost speed and larger ones bring none. */
const SLAB_BYTES = 1024 * 1024;

/**
 * A diskless snapshot comes in pieces of 16 KiB (PROTO_IOBUF_LEN in Valkey's server.h), each of which would cost dozens of
 * promises on its way to the bucket. What comes in so much time goes along as one chunk.
 */
const GATHER_MS = 5;

/**
 * The newest release whose files we read. Told no version, Valkey 9.1.2 writes RDB 11 and fails at the first hash with
 * expiring fields; a release newer than this one then writes what this one reads.
 */
const READABLE_VERSION = "9.1.0";

export interface ReplicationOptions {
  /** How long the server may be silent; 30 s where absent. Time in which nobody asks for bytes does not count. */
  silenceMs?: number;
}

/**
 * The server's data set as one RDB file, over the replication protocol as an rdb-only replica. A chunk is valid until
 * the next one is asked for; while nobody asks, the socket is paused. UNAVAILABLE: the stream ended early or stalled.
 * FAILED_PRECONDITION: the server knows no rdb-only replicas (Redis before 7.0). Whether the file is whole in itself is
 * for its reader to say. ReplicationRefused: the server keeps the protocol to itself. `onResync` is told, before the first byte, which place in the server's history the file shows.
 */
export async function* replicate(
  address: Address,
  signal: AbortSignal,
  { silenceMs = SILENCE_MS }: ReplicationOptions = {},
  onResync: (history: Required<Pick<ShardSource, "replicationId" | "replicationOffset">>) => void = () => undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  const link = await Link.open(address, signal, { slabBytes: SLAB_BYTES });
  try {
    await introduce(link, address).catch((failure) => {
      throw asReplicationRefused(failure);
    });
    // The server refuses PSYNC while it owes us replies, so nothing is pipelined before it.
    await link.write(command(["PSYNC", "?", "-1"]));
    const frame = new SnapshotFrame();
    for (;;) {
      const chunk = await link.read(silenceMs, GATHER_MS);
      if (chunk === undefined) throw brokenLink(address, new Error("the snapshot ended early"));
      for (const event of frame.push(chunk)) {
        if (event.is === "end") return;
        if (event.is === "refused") throw asReplicationRefused(replyFailure(address, "PSYNC", event.text));
        if (event.is === "garbage") throw notValkey(address);
        if (event.is === "resync") {
          onResync({ replicationId: event.replicationId, replicationOffset: event.replicationOffset });
          continue;
        }
        yield event.bytes;
        signal.throwIfAborted();
      }
    }
  } finally {
    link.close();
  }
}

async function introduce(link: Link, address: Address): Promise<void> {
  await link.ask("REPLCONF", "capa", "eof");
  if (!(await understands(link.ask("REPLCONF", "rdb-only", "1")))) {
    throw new StatusError(
      "FAILED_PRECONDITION",
      `${address.endpoint} gives no snapshots to rdb-only replicas: upgrade it to Valkey, or to Redis 7.0 or newer`,
    );
  }
  await understands(link.ask("REPLCONF", "version", READABLE_VERSION));
}

/** False if the server does not know the option. */
async function understands(answer: Promise<string>): Promise<boolean> {
  try {
    await answer;
    return true;
  } catch (error) {
    if (error instanceof StatusError && error.code === "UNKNOWN") return false;
    throw error;
  }
}
