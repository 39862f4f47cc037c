import type { RdbFacts } from "../../backup/backup.ts";
import type { KeyState } from "../../backup/selection.ts";
import type { LoadOptions } from "./load.ts";

/** A piece of a key's value as `DUMP` writes it, without type, version and checksum; at least one for each key that is there. */
export interface DumpPiece {
  /** Of the key, among those that were asked for. */
  index: number;
  magic: RdbFacts["magic"];
  type: number;
  /** Unix time in milliseconds, -1 for none. */
  expireTimeMs: number;
  /** Valid until the next piece. */
  bytes: Uint8Array;
}

/** A key as it is to be. */
export interface KeyRecord {
  magic: RdbFacts["magic"];
  type: number;
  state: KeyState;
  idleSeconds?: number | undefined;
  freq?: number | undefined;
  valueBytes: number;
  value(signal: AbortSignal): AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

/** One change of a key that is made only if the key is as it was when somebody decided it. */
export interface Exchange {
  key: Uint8Array;
  /** As it has to be; `undefined`: not there. `ANY`: it is made whatever is there. */
  from: KeyState | undefined | "ANY";
  /** `undefined`: the key goes. */
  to: KeyRecord | undefined;
}

/** What came of a change. */
export interface Exchanged {
  /** ALREADY: it was made before, and nothing was done. CHANGED: the key is neither as before nor as after, and stays so. */
  outcome: "DONE" | "ALREADY" | "CHANGED";
  /**
   * The key as it is from then on, unless it is gone: a server may lay a value down in another way than it was given. Another one
   * than that means that somebody has changed it since.
   */
  state?: KeyState | undefined;
}

/** The connections are named and fenced as those of a load: see `LoadOptions`. */
export interface ExchangeOptions extends Pick<LoadOptions, "operation" | "part" | "epoch" | "confirm" | "now"> {
  database: number;
}
