import { Crc64 } from "./crc64.ts";
import { damaged } from "./damage.ts";
import type { RdbEntry } from "./entry.ts";
import { type Format, firstVersionWithCrc, requireSupported } from "./header.ts";
import { Interpreter } from "./interpreter.ts";
import { limits } from "./limits.ts";
import { type RdbSummary, Tally } from "./summary.ts";
import { Walker } from "./walker.ts";

/** A stretch of a file between two record borders: what to know of the bytes before it. */
export type Stretch = {
  /** Where it begins: an `offset` or `valueEnd` of a record. */
  readonly startOffset: number;
  /** Where it ends, at a record border too; undefined: with the file. */
  readonly endOffset?: number | undefined;
  /** The database that is selected there. */
  readonly db: number;
} & Format;

export type RdbReaderOptions = {
  /** Collect the entries, which `takeEntries` hands out. Otherwise only counts are kept. */
  readonly entries?: boolean;
  /** Values longer than this are passed over, and reported without their bytes. */
  readonly limitBytes?: number;
  /** Read only this part of a file. Its checksum is not compared then. */
  readonly stretch?: Stretch | undefined;
  /** Something else may follow the file, as commands follow the preamble of an AOF: `write` leaves it. */
  readonly mayBeFollowed?: boolean;
};

/**
 * Reads an RDB file that arrives in chunks of any size, and says at the end whether it was whole. Memory does not grow
 * with the file nor with a value. Throws DATA_LOSS for what is damaged, cut or followed by more bytes, UNIMPLEMENTED for
 * what it does not know, both with the `offset`; it goes on throwing the same after that.
 */
export class RdbReader {
  readonly #walker: Walker;
  readonly #interpreter: Interpreter;
  readonly #tally: Tally;
  readonly #stretch: Stretch | undefined;
  readonly #crc = new Crc64();
  #failure: unknown;

  constructor(options: RdbReaderOptions = {}) {
    const { entries = false, limitBytes = limits.heldBytes, stretch, mayBeFollowed } = options;
    if (stretch !== undefined) requireSupported(stretch, 0);
    this.#stretch = stretch;
    this.#tally = new Tally(stretch?.db ?? 0);
    const collect = { entries, valueBytes: limitBytes };
    if (stretch === undefined) {
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
    const offset = this.#walker.offset;
    const before = this.#walker.endOffset;
    let taken: number;
    try {
      taken = this.#walker.write(chunk);
      this.#interpreter.keep();
    } catch (error) {
      this.#failure = error;
      throw error;
    }
    if (this.#stretch !== undefined || before >= 0) return taken;
    const end = this.#walker.endOffset;
    this.#crc.update(end < 0 ? chunk : chunk.subarray(0, end - offset));
    return taken;
  }

  /** Whether the file is complete, down to the last byte of its footer. */
  get isAtEnd(): boolean {
    return this.#walker.isAtEnd;
  }

  /** The entries that became complete since the last call. */
  takeEntries(): RdbEntry[] {
    const { entries } = this.#interpreter;
    if (entries.length > 0) this.#interpreter.entries = [];
    return entries;
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

  #compareCrc({ rdbVersion }: Format): "ok" | "absent" {
    const found = this.#interpreter.crc;
    if (this.#stretch !== undefined || rdbVersion < firstVersionWithCrc || found === undefined) return "absent";
    if (found.every((byte) => byte === 0)) return "absent";
    const computed = new Uint8Array(8);
    this.#crc.writeTo(computed, 0);
    if (Buffer.compare(found, computed) === 0) return "ok";
    const hex = (bytes: Uint8Array): string => Buffer.from(bytes).reverse().toString("hex");
    throw damaged(
      `its CRC64 is ${hex(computed)} but its footer says ${hex(found)}; take another copy`,
      this.#walker.endOffset,
    );
  }
}
