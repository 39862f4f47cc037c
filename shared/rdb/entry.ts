/**
 * The latest time at which a key expires here, in the year 287,168. Servers take later ones, up to 2^63 - 1 ms; but numbers do not hold
 * those exactly, and what is reckoned with them is no number to a server. A key with a later time has this one.
 */
export const latestExpireTimeMs = 9_000_000_000_000_000;

/** One key of a file, with all that RESTORE needs. */
export type RdbRecord = {
  readonly kind: "record";
  readonly db: number;
  /** The plain key: integer and LZF forms are expanded. */
  readonly key: Uint8Array;
  /** Unix time in milliseconds, -1 for none; `latestExpireTimeMs` at most. */
  readonly expireTimeMs: number;
  /** Seconds since the last access, where the server kept them (LRU). */
  readonly idleSeconds: number | undefined;
  /** The access frequency, where the server kept it (LFU). */
  readonly freq: number | undefined;
  /** The byte that says how the value lies in the file. */
  readonly type: number;
  /** The value's bytes as in the file, without the type; undefined if there are more than the limit. */
  readonly value: Uint8Array | undefined;
  /** Where the record begins in the file, with its expiry; another reader may start here. */
  readonly offset: number;
  /** The value is [valueStart, valueEnd) of the file; the next record begins at `valueEnd`. */
  readonly valueStart: number;
  readonly valueEnd: number;
};

/** One function library: what `FUNCTION LOAD` takes. */
export type RdbFunction = { readonly kind: "function"; readonly code: Uint8Array; readonly offset: number };

export type RdbEntry = RdbRecord | RdbFunction;
