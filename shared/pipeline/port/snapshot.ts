import type { BackupFile, Seed, ShardPlan } from "../../backup/backup.ts";
import type { Site } from "../../backup/lane.ts";

/** One shard to take a snapshot of, as it was planned. */
export interface ShardTask extends Omit<ShardPlan, "nodes"> {
  /** From 0. */
  shard: number;
  /** All nodes of the cluster as it was planned: one that has none of them is another cluster. */
  cluster?: readonly string[];
  /** When the backup was asked for, in seconds before now: a save of the server's own that began since will do (VOLUME). */
  askedSecondsAgo?: number;
  /** Nodes that failed while they were read: taken where there is no other. */
  avoid?: readonly string[];
}

/** Whom a snapshot is taken of, and what of its history the file holds. */
export interface ShardSource extends Pick<BackupFile, "sourceRole" | "replicationId" | "replicationOffset"> {
  /** By which `avoid` names it. */
  node?: string;
}

/** What a backup has to take, and where: by number, from 0. */
export interface Layout {
  shards: (ShardPlan & Site)[];
  /** Nodes that can answer for the cluster as well as its endpoint; none without cluster mode. */
  seeds: Seed[];
}

/**
 * Where a scan stands, between two records of its file: what another call needs to go on there. JSON. Holds no key.
 */
export interface ScanMark {
  /** The process that is scanned, and its address: to any other its cursor means nothing. */
  endpoint: string;
  runId: string;
  rdbVersion: number;
  database: number;
  cursor: string;
  /** Bytes of the file so far, and their running CRC64, 16 hexadecimal digits. */
  offset: number;
  crc64: string;
  /** SCAN may name the keys again that stand in the file from `offset` on; none before, unless its table shrinks below `horizon`. */
  recent: { offset: number; horizon: string };
}

export interface ScanOptions {
  /** Go on there. ABORTED: that server is not there any more, and the file has to be begun anew. */
  from?: ScanMark;
  /** The file so far, by range: with `from`. */
  written?: (range: { start: number; end: number }) => AsyncIterable<Uint8Array>;
  /** Once it answers true the stream ends, soon, between two records. */
  isTimeUp(): boolean;
  /** Told before the stream ends: where to go on, or nothing where the file is whole. */
  onEnd(mark: ScanMark | undefined): void;
}
