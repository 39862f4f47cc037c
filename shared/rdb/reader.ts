import { type Border, borderBytes, type RdbIndex } from "./border.ts";
import { Crc64 } from "./crc64.ts";
import { wasmCrc64 } from "./crc64-wasm.ts";
import { damaged } from "./damage.ts";
import type { RdbEntry } from "./entry.ts";
import { type Format, firstVersionWithCrc, requireSupported } from "./header.ts";
import { Interpreter } from "./interpreter.ts";
import { limits } from "./limits.ts";
import { Collector, type RecordSink } from "./passing.ts";
import { type RdbSummary, Tally } from "./summary.ts";
import { Walker } from "./walker.ts";

/** A stretch of a file between two record borders: what to know of the bytes before it. */
export type Stretch = {
  /** Where it begins: an `offset` or `valueEnd` of a record, or 0, where the header tells the format once more. */
  readonly startOffset: number;
  /** Where it ends, at a record border too; undefined: with the file. */
  readonly endOffset?: number | undefined;
  /** The database that is selected there. */
  readonly db: number;
  /** The running CRC64 of all bytes before it, and of all up to its end. With it the stretch is checked as a file is. */
  readonly crc64?: { readonly before: bigint; readonly after?: bigint | undefined } | undefined;
} & Format;

/** A record border that was passed, and what a reader has to know that begins there. */
export type Checkpoint = {
  readonly offset: number;
  readonly db: number;
  /** The running CRC64 of all bytes before it; undefined in a stretch that is read without one. */
  readonly crc64: bigint | undefined;
};

export type RdbReaderOptions = {
  /** Collect the entries, which `takeEntries` hands out. */
  readonly entries?: boolean;
  /** In place of entries: is told of each within `write`, and must have copied by its end what it wants to keep. */
  readonly sink?: RecordSink | undefined;
  /** Values longer than this are passed over, and reported without their bytes. */
  readonly limitBytes?: number;
  /** Read only this part of a file. */
  readonly stretch?: Stretch | undefined;
  /** Something else may follow the file, as commands follow the preamble of an AOF: `write` leaves it. */
  readonly mayBeFollowed?: boolean;
  /** With `entries` or `sink`: note a checkpoint in the first chunk after so many bytes that ends a record, and so on; never unless told. */
  readonly checkpointBytes?: number | undefined;
  /** Of a whole file: how far apart its borders are noted, 64 MiB unless told otherwise. */
  readonly borderBytes?: number | undefined;
};

/**
 * Reads an RDB file that arrives in chunks of any size, and says at the end whether it was whole. Memory does not grow
 * with the file nor with a value. Throws DATA_LOSS for what is damaged, cut or followed by more bytes, UNIMPLEMENTED for
 * what it does not know, both with the `offset`; it goes on throwing the same after that.
 */
export class RdbReader {
  readonly #walker: Walker;
  readonly #interpreter: Interpreter;
  readonly #collector: Collector | undefined;
  /** Where chunks are read for a sink: what it sums, their checksum and that of each value, is summed without being copied. */
  readonly #window: Uint8Array | undefined;
  readonly #tally: Tally;
  readonly #stretch: Stretch | undefined;
  /** Absent in a stretch whose beginning is not known. */
  readonly #crc: Crc64 | undefined;
  readonly #checkpointBytes: number;
  #nextCheckpoint: number;
  #checkpoint: Checkpoint | undefined;
  readonly #borderBytes: number;
  readonly #borders: Border[] = [];
  #failure: unknown;

  constructor(options: RdbReaderOptions = {}) {
    const { entries = false, sink, limitBytes = limits.heldBytes, stretch, mayBeFollowed } = options;
    const { checkpointBytes = Number.POSITIVE_INFINITY } = options;
    if (stretch !== undefined) requireSupported(stretch, 0);
    this.#stretch = stretch;
    this.#crc = stretch === undefined || stretch.crc64 !== undefined ? new Crc64(stretch?.crc64?.before) : undefined;
    this.#checkpointBytes = checkpointBytes;
    this.#nextCheckpoint = (stretch?.startOffset ?? 0) + checkpointBytes;
    this.#tally = new Tally(stretch?.db ?? 0);
    this.#borderBytes = stretch === undefined ? (options.borderBytes ?? borderBytes) : Number.POSITIVE_INFINITY;
    this.#collector = entries ? new Collector() : undefined;
    this.#window = sink === undefined ? undefined : wasmCrc64().window;
    const collect = { sink: sink ?? this.#collector, valueBytes: limitBytes, borderBytes: this.#borderBytes };
    if (stretch === undefined || stretch.startOffset === 0) {
      this.#interpreter = new Interpreter(this.#tally, collect);
      this.#walker = new Walker(this.#interpreter, undefined, mayBeFollowed);
    } else {
      this.#interpreter = new Interpreter(this.#tally, collect, { format: stretch, db: stretch.db });
      this.#walker = new Walker(this.#interpreter, { offset: stretch.startOffset, format: stretch });
    }
  }

  /**
   * Takes the next bytes, and answers how many: all, but for what may follow the end. They may be reused after the call,
   * but for entries that were collected from them.
   */
  write(chunk: Uint8Array): number {
    if (this.#failure !== undefined) throw this.#failure;
    const { length } = chunk;
    const bytes = this.#placed(chunk);
    const offset = this.#walker.offset;
    const before = this.#walker.endOffset;
    let taken: number;
    try {
      taken = this.#walker.write(bytes, length);
      this.#interpreter.keep();
    } catch (error) {
      this.#failure = error;
      throw error;
    }
    const summed = this.#noteCheckpoint(bytes, offset, length, this.#noteBorders(bytes, offset));
    if (before >= 0) return taken;
    const end = this.#walker.endOffset;
    this.#crc?.update(bytes, summed, end < 0 ? length : end - offset);
    return taken;
  }

  /** After the verdict on a whole file: where it can be cut. Behind the last record that makes no sense. */
  index(): RdbIndex {
    const borders = this.#borders.filter(({ offset }) => offset + 1 < this.#walker.endOffset);
    const sizeBytes = this.#walker.offset;
    return { borderBytes: this.#borderBytes, sizeBytes, crc64: hex(this.#crc?.value() ?? 0n), borders };
  }

  /** The last checkpoint, once: behind all the entries that were taken with it. */
  takeCheckpoint(): Checkpoint | undefined {
    const checkpoint = this.#checkpoint;
    this.#checkpoint = undefined;
    return checkpoint;
  }

  /** The entries that became complete since the last call. */
  takeEntries(): RdbEntry[] {
    return this.#collector?.take() ?? [];
  }

  /** What the server has said of the file so far, in its first bytes: see `RdbSummary.aux`. */
  get aux(): Readonly<Record<string, string>> {
    return this.#tally.auxFields;
  }

  /** There are no more bytes: the verdict. */
  end(): RdbSummary {
    if (this.#failure !== undefined) throw this.#failure;
    const { format } = this.#interpreter;
    const offset = this.#walker.offset;
    const endOffset = this.#stretch?.endOffset;
    if (format === undefined) {
      throw damaged(offset === 0 ? "this is not an RDB file: it is empty" : "it ends within its first bytes", offset);
    }
    if (endOffset !== undefined) {
      if (offset !== endOffset || !this.#walker.isAtBorder) {
        throw damaged(
          `expected a record to end at byte ${endOffset}, where the stretch that was asked for ends`,
          offset,
        );
      }
    } else if (!this.#walker.isAtEnd) throw damaged("it ends early, before its footer is complete", offset);
    const sizeBytes = offset - (this.#stretch?.startOffset ?? 0);
    return this.#tally.summary(format, this.#compareCrc(format), sizeBytes);
  }

  /** The chunk, where it is read. */
  #placed(chunk: Uint8Array): Uint8Array {
    if (this.#window === undefined || chunk.length > this.#window.length) return chunk;
    this.#window.set(chunk);
    return this.#window;
  }

  /** Sums up to each border that was passed. Answers how much of the chunk that was. */
  #noteBorders(bytes: Uint8Array, offset: number): number {
    const { places } = this.#interpreter;
    let summed = 0;
    for (let place = places.shift(); place !== undefined; place = places.shift()) {
      const border = place.offset - offset;
      this.#crc?.update(bytes, summed, border);
      this.#borders.push({ ...place, crc64: hex(this.#crc?.value() ?? 0n) });
      summed = border;
    }
    return summed;
  }

  /** Notes one where it is due: the CRC64, taken of `summed` bytes of the chunk so far, is taken up to it. Answers how much that was. */
  #noteCheckpoint(bytes: Uint8Array, offset: number, length: number, summed: number): number {
    if (offset + length < this.#nextCheckpoint) return summed;
    const { recordEnd, recordDb: db } = this.#interpreter;
    if (recordEnd <= offset) return summed;
    const border = recordEnd - offset;
    this.#crc?.update(bytes, summed, border);
    this.#checkpoint = { offset: recordEnd, db, crc64: this.#crc?.value() };
    this.#nextCheckpoint = recordEnd + this.#checkpointBytes;
    return border;
  }

  #compareCrc({ rdbVersion }: Format): "ok" | "absent" {
    const computed = this.#crc?.value();
    if (computed === undefined) return "absent";
    const { startOffset, endOffset, crc64 } = this.#stretch ?? {};
    if (crc64?.after !== undefined && crc64.after !== computed) {
      const range = `the bytes ${startOffset} to ${endOffset ?? "the end"}`;
      throw damaged(
        `the CRC64 up to the end of ${range} is ${hex(computed)}, not ${hex(crc64.after)}`,
        this.#walker.offset,
      );
    }
    if (endOffset !== undefined) return crc64?.after === undefined ? "absent" : "ok";
    const footer = this.#interpreter.crc;
    if (rdbVersion < firstVersionWithCrc || footer === undefined || footer.every((byte) => byte === 0)) return "absent";
    const said = Buffer.from(footer).readBigUInt64LE();
    if (said === computed) return "ok";
    throw damaged(
      `its CRC64 is ${hex(computed)} but its footer says ${hex(said)}; take another copy`,
      this.#walker.endOffset,
    );
  }
}

const hex = (crc64: bigint): string => crc64.toString(16).padStart(16, "0");
