import type { LoadOptions, LoadResult, LoadSource } from "../../pipeline/ports.ts";
import type { RdbEntry, RdbFunction, RdbRecord } from "../../rdb/entry.ts";
import { command } from "../resp.ts";
import type { Block } from "./block.ts";
import type { Pipeline } from "./pipeline.ts";
import { encodeEnd, encodeRestore, encodeStart, type RestoreStyle, restoreBytes } from "./restore-command.ts";
import type { Route } from "./route.ts";
import type { Watermark } from "./watermark.ts";

/** A key that expires so soon may be met by the server after its time: RESTORE then answers OK and creates nothing. */
const SOON_MS = 60_000;

/** Turns the entries of a file into commands to whom they belong, and counts what it asked for. */
export class LoadWriter {
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
    if (db !== this.#database) this.#count(db);
    this.#counts.keys++;
    if (expires) this.#counts.expires++;
    if (leftMs <= SOON_MS) this.result.soonExpiredKeys++;
    const pipeline = this.#route.to(entry.key);
    const { block } = pipeline;
    if (block === undefined || value === undefined || db !== pipeline.database)
      return this.#restoreSlowly(pipeline, entry);
    if (restoreBytes(entry, value.length) > block.bytes.length - block.at) return this.#restoreSlowly(pipeline, entry);
    encodeRestore(block, entry, value, this.#style);
    return undefined;
  }

  #count(db: number): void {
    this.#database = db;
    this.#counts = this.result.databases[db] ??= { keys: 0, expires: 0 };
  }

  async #restoreSlowly(pipeline: Pipeline, record: RdbRecord): Promise<void> {
    const { db, value } = record;
    if (db !== pipeline.database) await this.#send(pipeline, command(["SELECT", `${db}`]));
    pipeline.database = db;
    if (value === undefined) await this.#restoreLarge(pipeline, record);
    else encodeRestore(await this.#room(pipeline, restoreBytes(record, value.length)), record, value, this.#style);
  }

  /** The block holds what stands before the value; the value is read from the file when its turn has come. */
  async #restoreLarge(pipeline: Pipeline, record: RdbRecord): Promise<void> {
    const { type, valueStart: start, valueEnd: end, key } = record;
    pipeline.seal();
    const block = await this.#room(pipeline, restoreBytes(record, 0));
    block.at = encodeStart(block.bytes, 0, record, end - start, this.#style);
    const tail = new Uint8Array(restoreBytes({ ...record, key: key.subarray(0, 0) }, 0));
    block.large = { type, start, end, tail: tail.subarray(0, encodeEnd(tail, 0, record, this.#style)) };
    block.commands = 1;
    pipeline.seal();
  }

  async #loadFunction({ code }: RdbFunction): Promise<void> {
    const words = ["FUNCTION", "LOAD", ...(this.#options.replace ? ["REPLACE"] : [])];
    for (const pipeline of this.#route.pipelines) await this.#send(pipeline, command([...words, code]));
    this.result.functions++;
  }

  /** A whole command. */
  async #send(pipeline: Pipeline, bytes: Uint8Array): Promise<void> {
    const block = await this.#room(pipeline, bytes.length);
    block.bytes.set(bytes, block.at);
    block.at += bytes.length;
    block.commands++;
  }

  /** The block that takes so many bytes more. */
  async #room(pipeline: Pipeline, bytes: number): Promise<Block> {
    const { block } = pipeline;
    if (block !== undefined && bytes <= block.bytes.length - block.at) return block;
    pipeline.seal();
    const next = await this.#route.pool.take(bytes, this.#watermark.span, () => this.#route.seal());
    pipeline.block = next;
    return next;
  }
}
