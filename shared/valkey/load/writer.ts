import type { LoadOptions, LoadResult, LoadSource } from "../../pipeline/ports.ts";
import type { RdbFunction } from "../../rdb/entry.ts";
import type { PassingRecord, RecordSink } from "../../rdb/passing.ts";
import { command } from "../resp.ts";
import type { Block } from "./block.ts";
import type { Pipeline } from "./pipeline.ts";
import { encodeEnd, encodeRestore, encodeStart, type RestoreStyle, restoreBytes } from "./restore-command.ts";
import type { Route } from "./route.ts";
import type { Watermark } from "./watermark.ts";

/** A key that expires so soon may be met by the server after its time: RESTORE then answers OK and creates nothing. */
const SOON_MS = 60_000;

/** Turns what a file holds into commands to whom they belong, and counts what it asked for. Whoever feeds it sees that the route rests. */
export class LoadWriter implements RecordSink {
  /** Counts up to the entry that was written last. */
  readonly result: LoadResult;
  readonly #route: Route;
  readonly #watermark: Pick<Watermark, "span">;
  readonly #options: LoadOptions;
  readonly #style: RestoreStyle;
  /** The database that is counted, and its counts. */
  #database = -1;
  #counts = { keys: 0, expires: 0 };

  constructor(
    route: Route,
    watermark: Pick<Watermark, "span">,
    { facts }: LoadSource,
    options: LoadOptions,
    begun: LoadResult | undefined,
  ) {
    this.#route = route;
    this.#watermark = watermark;
    this.#options = options;
    this.#style = { magic: facts.magic, replace: options.replace };
    this.result = structuredClone(begun ?? { databases: {}, expiredKeys: 0, soonExpiredKeys: 0, functions: 0 });
  }

  record(record: PassingRecord): void {
    const { expireTimeMs, valueBytes, db } = record;
    const expires = expireTimeMs !== -1;
    const leftMs = expires ? expireTimeMs - this.#options.now() : Number.POSITIVE_INFINITY;
    if (leftMs <= 0) {
      this.result.expiredKeys++;
      return;
    }
    if (db !== this.#database) this.#count(db);
    this.#counts.keys++;
    if (expires) this.#counts.expires++;
    if (leftMs <= SOON_MS) this.result.soonExpiredKeys++;
    const pipeline = this.#route.to(record);
    if (db !== pipeline.database) this.#select(pipeline, db);
    if (valueBytes === undefined) this.#restoreLarge(pipeline, record);
    else {
      const bytes = restoreBytes(record, record.valueTo - record.valueFrom);
      encodeRestore(this.#room(pipeline, bytes), record, valueBytes, this.#style);
      if (bytes > this.#route.pool.blockBytes) pipeline.seal();
    }
  }

  function({ code }: RdbFunction): void {
    if (!this.#options.withFunctions) return;
    const words = ["FUNCTION", "LOAD", ...(this.#options.replace ? ["REPLACE"] : [])];
    for (const pipeline of this.#route.pipelines) this.#send(pipeline, command([...words, code]));
    this.result.functions++;
  }

  #count(db: number): void {
    this.#database = db;
    this.#counts = this.result.databases[db] ??= { keys: 0, expires: 0 };
  }

  #select(pipeline: Pipeline, db: number): void {
    this.#send(pipeline, command(["SELECT", `${db}`]));
    pipeline.database = db;
  }

  /** The block holds what stands before the value; the value is read from the file when its turn has come. */
  #restoreLarge(pipeline: Pipeline, record: PassingRecord): void {
    const { type, valueStart: start, valueEnd: end } = record;
    pipeline.seal();
    const block = this.#room(pipeline, restoreBytes(record, 0));
    block.at = encodeStart(block.bytes, 0, record, end - start, this.#style);
    const tail = new Uint8Array(restoreBytes({ ...record, keyFrom: 0, keyTo: 0 }, 0));
    block.large = { type, start, end, tail: tail.subarray(0, encodeEnd(tail, 0, record, this.#style)) };
    block.commands = 1;
    pipeline.seal();
  }

  /** A whole command. */
  #send(pipeline: Pipeline, bytes: Uint8Array): void {
    const block = this.#room(pipeline, bytes.length);
    block.bytes.set(bytes, block.at);
    block.at += bytes.length;
    block.commands++;
    if (bytes.length > this.#route.pool.blockBytes) pipeline.seal();
  }

  /** The block that takes so many bytes more. */
  #room(pipeline: Pipeline, bytes: number): Block {
    const { block } = pipeline;
    if (block !== undefined && bytes <= block.bytes.length - block.at) return block;
    pipeline.seal();
    const next = this.#route.pool.take(bytes, this.#watermark.span);
    pipeline.block = next;
    return next;
  }
}
