import type { RdbFacts } from "../../backup/backup.ts";

/**
 * Part of a file between two record borders. `crc64`: the running CRC64 of all before it, and, at its end, after it; absent: not
 * compared.
 */
export interface LoadStretch {
  startOffset: number;
  /** Absent: the file's. */
  endOffset?: number;
  /** The one that is selected where it begins. */
  database: number;
  /** 16 hexadecimal digits each. */
  crc64?: { before: string; after: string };
}

/** Everything before `offset`, a record border, was answered by the servers: a later attempt goes on there. */
export interface LoadMark {
  offset: number;
  /** The one that is selected there. */
  database: number;
  /** The running CRC64 of all bytes before it, 16 hexadecimal digits; empty where it was not reckoned. */
  crc64: string;
  /** The target's, as it was then: another one may lack what was answered, so that the load begins anew. */
  runId?: string;
  /** The counts up to there. */
  result: LoadResult;
}

/** A file to load: its facts, and its bytes by range. */
export interface LoadSource {
  /** Of the whole file. */
  facts: RdbFacts;
  /** Absent: the whole file. */
  stretch?: LoadStretch;
  read(range: { start: number; end?: number }, signal: AbortSignal): AsyncIterable<Uint8Array>;
}

export interface LoadOptions {
  /**
   * The connection is called `valkeep-<operation>-<part>-<epoch>`. Connections of the same part and an earlier epoch are
   * killed first, and those of every other operation: one restore at a time writes into an instance.
   */
  operation: string;
  part: number;
  epoch: number;
  /** Awaited once the connection has its name, before anyone is killed or anything is written: throws if the lease is gone. */
  confirm(): Promise<void>;
  /** Overwrite keys: only for a part that was begun before. Without it a key that exists is FAILED_PRECONDITION. */
  replace: boolean;
  /** The time, milliseconds since 1970: keys whose time has come when their turn does are counted, not created. */
  now(): number;
  /** Load the function libraries too: only one part of a restore does, as every shard's file holds all of them. */
  withFunctions: boolean;
  /** Go on there: the counts of the result go on from the mark's. What lies behind it may have been written already: wants `replace`. */
  from?: LoadMark;
  /** Rises; at most a few times a second. The last one stands at the end of what is loaded. */
  onProgress?: (mark: LoadMark) => void;
}

export interface LoadResult {
  databases: Record<string, { keys: number; expires: number }>;
  expiredKeys: number;
  /** Created keys whose time was so near that the server may have met it first: it then answers as if it had created them. */
  soonExpiredKeys: number;
  functions: number;
}
