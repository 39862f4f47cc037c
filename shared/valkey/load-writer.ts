import type { LoadOptions, LoadResult, LoadSource } from "../pipeline/ports.ts";
import type { RdbEntry, RdbFunction, RdbRecord } from "../rdb/entry.ts";
import { restoreInPieces } from "./large-record.ts";
import { kind } from "./load-failure.ts";
import type { Pipeline } from "./pipeline.ts";
import { command } from "./resp.ts";
import { BLOCK_BYTES } from "./resp-writer.ts";
import { encodeRestore, type RestoreStyle, restoreBytes } from "./restore-command.ts";

/** A key that expires so soon may be met by the server after its time: RESTORE then answers OK and creates nothing. */
const SOON_MS = 60_000;

/** Turns the entries of a file into commands, in their order, and counts what it asked for. */
export class LoadWriter {
  readonly result: LoadResult = { databases: {}, expiredKeys: 0, soonExpiredKeys: 0, functions: 0 };
  readonly #pipeline: Pipeline;
  readonly #source: LoadSource;
  readonly #options: LoadOptions;
  readonly #signal: AbortSignal;
  readonly #style: RestoreStyle;
  /** A connection begins in database 0; a server in cluster mode does not even let it be selected. */
  #database = 0;
  #counts: { keys: number; expires: number } | undefined;

  constructor(pipeline: Pipeline, source: LoadSource, options: LoadOptions, signal: AbortSignal) {
    this.#pipeline = pipeline;
    this.#source = source;
    this.#options = options;
    this.#signal = signal;
    this.#style = { magic: source.facts.magic, replace: options.replace };
  }

  /** Answers a promise only if it has to wait. */
  write(entry: RdbEntry): Promise<void> | undefined {
    if (entry.kind === "function") return this.#options.withFunctions ? this.#loadFunction(entry) : undefined;
    const { expireTimeMs, value, db } = entry;
    const expires = expireTimeMs !== -1;
    const leftMs = expires ? expireTimeMs - this.#options.now() : Number.POSITIVE_INFINITY;
    if (leftMs <= 0) {
      this.result.expiredKeys++;
      return undefined;
    }
    if (db !== this.#database || this.#counts === undefined) return this.#select(entry);
    this.#counts.keys++;
    if (expires) this.#counts.expires++;
    if (leftMs <= SOON_MS) this.result.soonExpiredKeys++;
    const { writer } = this.#pipeline;
    if (value === undefined || !writer.hasRoom(restoreBytes(entry, value.length))) return this.#restoreSlowly(entry);
    this.#pipeline.queue(entry.type);
    encodeRestore(writer, entry, value, this.#style);
    return undefined;
  }

  async #restoreSlowly(record: RdbRecord): Promise<void> {
    const { value, type, valueStart, valueEnd } = record;
    await this.#pipeline.flush();
    this.#pipeline.queue(type);
    const { writer } = this.#pipeline;
    if (value !== undefined && restoreBytes(record, value.length) <= BLOCK_BYTES) {
      encodeRestore(writer, record, value, this.#style);
    } else {
      const range = { start: valueStart, end: valueEnd };
      const pieces = value === undefined ? this.#source.read(range, this.#signal) : [value];
      await restoreInPieces(writer, record, pieces, this.#style);
    }
  }

  async #select(record: RdbRecord): Promise<void> {
    const { db } = record;
    if (db !== this.#database) await this.#pipeline.send(kind.select, command(["SELECT", `${db}`]));
    this.#database = db;
    this.#counts = this.result.databases[db] ??= { keys: 0, expires: 0 };
    await this.write(record);
  }

  async #loadFunction({ code }: RdbFunction): Promise<void> {
    const words = ["FUNCTION", "LOAD", ...(this.#options.replace ? ["REPLACE"] : [])];
    await this.#pipeline.send(kind.functionLoad, command([...words, code]));
    this.result.functions++;
  }
}
