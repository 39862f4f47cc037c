import { unsupported } from "./damage.ts";
import type { Magic } from "./family.ts";
import type { Format } from "./header.ts";
import { limits } from "./limits.ts";
import { moduleTypeName } from "./module-type.ts";
import { type ValueType, valueTypes } from "./types.ts";

/** What one database of a file holds. `types` counts by the name that `TYPE key` answers; absent means none. */
export type DatabaseSummary = { keys: number; expires: number; types: Record<string, number> };

/** What was found in a file that was read to its last byte. */
export type RdbSummary = {
  magic: Magic;
  rdbVersion: number;
  /** `ok`: the CRC64 at the end was compared. `absent`: the server wrote none, so only the structure was checked. */
  crc64: "ok" | "absent";
  sizeBytes: number;
  keys: number;
  /** Keys with an expiry time, past or not. */
  expires: number;
  /** Function libraries. */
  functions: number;
  /** By number; a database without keys does not appear. */
  databases: Record<string, DatabaseSummary>;
  /** The lowest RDB version that a server must know to take all of this by RESTORE and FUNCTION RESTORE. */
  minimumRdbVersion: number;
  /** Size in the file of the largest type byte and value; 0 without keys. */
  largestRecordBytes: number;
  /** The well-known AUX fields that the server wrote, with short printable values only. */
  aux: Record<string, string>;
  /** Names of the module types whose values or data the file holds. */
  moduleTypes: string[];
  /** Whether the file says how its keys spread over slots, as one of a cluster's shard does. */
  hasSlotInfo: boolean;
  /** The slots that it says it holds keys of, first and last of each stretch. */
  slots: [first: number, last: number][];
  /** Slot migrations that were under way: their keys may be incomplete. */
  slotImports: number;
};

/** Functions came with RDB version 10 (Redis 7.0). */
const functionsRdbVersion = 10;

/** Slots of every cluster (Valkey cluster.h, CLUSTER_SLOTS). */
const slotCount = 16_384;

/** AUX fields that say something about a file and are never secret (rdb.c, rdbSaveInfoAuxFields). */
const wellKnownAux = new Set([
  ...["redis-ver", "valkey-ver", "redis-bits", "ctime", "used-mem"],
  ...["repl-stream-db", "repl-id", "repl-offset", "aof-base", "aof-preamble"],
]);

type Counts = { keys: Float64Array; expires: number };

/** Counts while a file passes; constant memory whatever the file claims. */
export class Tally {
  readonly #databases = new Map<number, Counts>();
  readonly #aux = new Map<string, string>();
  readonly #moduleTypes = new Set<string>();
  #current: Counts = { keys: new Float64Array(64), expires: 0 };
  #functions = 0;
  #largestRecordBytes = 0;
  #hasSlotInfo = false;
  readonly #slots = new Uint8Array(slotCount);
  #slotImports = 0;

  constructor(db: number) {
    this.#databases.set(db, this.#current);
  }

  selectDatabase(db: number, offset: number): void {
    let counts = this.#databases.get(db);
    if (counts === undefined) {
      if (db > limits.highestDatabase || this.#databases.size >= limits.databases)
        throw unsupported("a database beyond those that a server has", offset);
      counts = { keys: new Float64Array(64), expires: 0 };
      this.#databases.set(db, counts);
    }
    this.#current = counts;
  }

  value(type: number, recordBytes: number, expires: boolean): void {
    const current = this.#current;
    current.keys[type] = (current.keys[type] as number) + 1;
    if (expires) current.expires++;
    if (recordBytes > this.#largestRecordBytes) this.#largestRecordBytes = recordBytes;
  }

  function(): void {
    this.#functions++;
  }

  aux(name: string, value: string): void {
    if (name === "slot-info") this.slotInfo(Number.parseInt(value, 10));
    if (wellKnownAux.has(name) && value.length <= 64 && /^[\x20-\x7e]*$/.test(value)) this.#aux.set(name, value);
  }

  get auxFields(): Record<string, string> {
    return Object.fromEntries(this.#aux);
  }

  slotInfo(slot: number): void {
    this.#hasSlotInfo = true;
    if (slot < slotCount) this.#slots[slot] = 1;
  }

  slotImport(): void {
    this.#slotImports++;
  }

  moduleType(high: number, low: number, offset: number): void {
    this.#moduleTypes.add(moduleTypeName(high, low));
    if (this.#moduleTypes.size > limits.moduleTypes) throw unsupported("more module types than a server has", offset);
  }

  /** All keys so far, and how many of them have an expiry. */
  counts(): { keys: number; expires: number } {
    let [keys, expires] = [0, 0];
    for (const counts of this.#databases.values()) {
      keys += counts.keys.reduce((sum, count) => sum + count, 0);
      expires += counts.expires;
    }
    return { keys, expires };
  }

  summary({ magic, rdbVersion }: Format, crc64: "ok" | "absent", sizeBytes: number): RdbSummary {
    const databases: Record<string, DatabaseSummary> = {};
    const used = new Map<number, ValueType>();
    const sorted = [...this.#databases].sort(([a], [b]) => a - b);
    for (const [db, counts] of sorted) {
      const database: DatabaseSummary = { keys: 0, expires: counts.expires, types: {} };
      for (const [number, type] of Object.entries(valueTypes[magic])) {
        const count = counts.keys[Number(number)] ?? 0;
        if (count === 0) continue;
        used.set(Number(number), type);
        database.keys += count;
        database.types[type.name] = (database.types[type.name] ?? 0) + count;
      }
      if (database.keys > 0) databases[db] = database;
    }
    const all = Object.values(databases);
    return {
      magic,
      rdbVersion,
      crc64,
      sizeBytes,
      keys: all.reduce((sum, { keys }) => sum + keys, 0),
      expires: all.reduce((sum, { expires }) => sum + expires, 0),
      functions: this.#functions,
      databases,
      minimumRdbVersion: Math.max(
        this.#functions > 0 ? functionsRdbVersion : 1,
        ...[...used.values()].map((type) => type.minimumRdbVersion),
      ),
      largestRecordBytes: this.#largestRecordBytes,
      aux: this.auxFields,
      moduleTypes: [...this.#moduleTypes].sort(),
      hasSlotInfo: this.#hasSlotInfo,
      slots: stretches(this.#slots),
      slotImports: this.#slotImports,
    };
  }
}

/** The stretches of ones. */
function stretches(marks: Uint8Array): [first: number, last: number][] {
  const found: [first: number, last: number][] = [];
  for (let first = marks.indexOf(1); first !== -1; ) {
    const end = marks.indexOf(0, first);
    found.push([first, (end === -1 ? marks.length : end) - 1]);
    first = end === -1 ? -1 : marks.indexOf(1, end);
  }
  return found;
}
