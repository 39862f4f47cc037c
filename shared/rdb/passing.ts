import type { RdbEntry, RdbFunction } from "./entry.ts";

const none: Uint8Array = new Uint8Array(0);

/**
 * The record that passes right now, the same object each time: millions of entries with a view of a key and of a value each would
 * cost more than to read them. What it shows is valid within the call only; for the meanings see `RdbRecord`.
 */
export class PassingRecord {
  db = 0;
  /** The plain key is `keyBytes` from `keyFrom` to `keyTo`. */
  keyBytes = none;
  keyFrom = 0;
  keyTo = 0;
  expireTimeMs = -1;
  idleSeconds: number | undefined;
  freq: number | undefined;
  type = 0;
  /** The value is `valueBytes` from `valueFrom` to `valueTo`; undefined if there are more than the limit. */
  valueBytes: Uint8Array | undefined;
  valueFrom = 0;
  valueTo = 0;
  offset = 0;
  valueStart = 0;
  valueEnd = 0;

  set key(key: Uint8Array) {
    this.keyBytes = key;
    this.keyFrom = 0;
    this.keyTo = key.length;
  }

  /** Makes the key outlive the bytes that it stands in. */
  keepKey(): void {
    if (this.keyTo > this.keyFrom) this.key = new Uint8Array(this.keyBytes.subarray(this.keyFrom, this.keyTo));
  }

  /** What does not belong to the next record. */
  clear(): void {
    this.key = none;
    this.valueBytes = undefined;
    this.expireTimeMs = -1;
    this.idleSeconds = undefined;
    this.freq = undefined;
  }
}

/** Takes what a file holds as it passes, in the order of the file. What it throws ends the reading. */
export interface RecordSink {
  record(record: PassingRecord): void;
  function(library: RdbFunction): void;
}

/** Keeps every record as an entry: its key and value are views of the bytes that were read. */
export class Collector implements RecordSink {
  #entries: RdbEntry[] = [];

  /** The entries since the last call. */
  take(): RdbEntry[] {
    const entries = this.#entries;
    if (entries.length > 0) this.#entries = [];
    return entries;
  }

  record(passing: PassingRecord): void {
    this.#entries.push({
      kind: "record",
      db: passing.db,
      key: passing.keyBytes.subarray(passing.keyFrom, passing.keyTo),
      expireTimeMs: passing.expireTimeMs,
      idleSeconds: passing.idleSeconds,
      freq: passing.freq,
      type: passing.type,
      value: passing.valueBytes?.subarray(passing.valueFrom, passing.valueTo),
      offset: passing.offset,
      valueStart: passing.valueStart,
      valueEnd: passing.valueEnd,
    });
  }

  function(library: RdbFunction): void {
    this.#entries.push(library);
  }
}
