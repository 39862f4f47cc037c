import type { StatusError } from "../error.ts";
import type { RdbIndex } from "../rdb/border.ts";
import { damaged as damagedRdb } from "../rdb/damage.ts";
import { RdbReader } from "../rdb/reader.ts";
import type { RdbSummary } from "../rdb/summary.ts";
import { AofScanner } from "./scanner.ts";
import { type AofSummary, AofTally } from "./summary.ts";

/** What was found in an RDB file, or in an AOF with or without an RDB preamble. */
export type AofVerdict = {
  sizeBytes: number;
  /** The RDB file at the beginning; maybe all there is. */
  base?: RdbSummary;
  /** The commands; absent where nothing follows the RDB file. */
  log?: AofSummary;
};

export interface AofReaderOptions {
  mayBeEmpty?: boolean | undefined;
  borderBytes?: number | undefined;
}

/** As much of a verdict as says how far the file is whole. */
export interface Torn {
  sizeBytes: number;
  log?: { endOffset: number };
}

/** How many bytes at the end belong to no whole command. */
export const tornBytesOf = ({ sizeBytes, log }: Torn): number => sizeBytes - (log?.endOffset ?? sizeBytes);

/** The only remark that servers write, where `aof-timestamp-enabled` is set (aof.c, genAofTimestampAnnotationIfNeeded). */
const firstRemark = Buffer.from("#TS:");

/** How gzip begins. */
const gzip = 0x1f;

/** How an RDB file begins: `REDIS` or `VALKEY`. No command does. */
const isMagic = (byte: number): boolean => byte === 0x52 || byte === 0x56;

/**
 * Reads an AOF that arrives in chunks of any size: an optional RDB preamble, then commands. Memory grows with nothing in it.
 * A file that ends within a command or a transaction is torn, which is no error: the verdict says up to where it is whole.
 * Throws DATA_LOSS for what is damaged in the middle, and a preamble's errors as `RdbReader` does, all with the `offset`; it
 * goes on throwing the same after that.
 */
export class AofReader {
  readonly #borderBytes: number | undefined;
  #base: RdbReader | undefined;
  #summary: RdbSummary | undefined;
  #scanner: AofScanner | undefined;
  #tally: AofTally | undefined;
  #sizeBytes = 0;
  #isRemark = false;
  #failure: unknown;
  readonly #mayBeEmpty: boolean;

  /**
   * `mayBeEmpty`: a file without a byte is an AOF without commands, as a manifest says that it is one. `borderBytes`: how far apart
   * the borders of an RDB file are noted.
   */
  constructor({ mayBeEmpty = false, borderBytes }: AofReaderOptions = {}) {
    this.#mayBeEmpty = mayBeEmpty;
    this.#borderBytes = borderBytes;
  }

  /** Takes the next bytes; they may be reused after the call. */
  write(chunk: Uint8Array): void {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      this.#take(chunk);
    } catch (error) {
      this.#failure = error;
      throw error;
    }
    this.#sizeBytes += chunk.length;
  }

  /** There are no more bytes: the verdict. */
  end(): AofVerdict {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#sizeBytes === 0 && this.#mayBeEmpty) return { sizeBytes: 0, log: new AofTally(0).summary() };
    // Nobody can say of an empty file which of the two it was to be; the reader of RDB files refuses it.
    const base = this.#summary ?? (this.#scanner === undefined ? (this.#base ?? new RdbReader()).end() : undefined);
    const log = this.#tally?.summary();
    return { sizeBytes: this.#sizeBytes, ...(base !== undefined && { base }), ...(log !== undefined && { log }) };
  }

  /** After the verdict: where the RDB file can be cut, if there is one. */
  index(): RdbIndex | undefined {
    return this.#base?.index();
  }

  #take(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    if (this.#sizeBytes < firstRemark.length) this.#look(chunk);
    if (this.#sizeBytes === 0 && isMagic(chunk[0] as number))
      this.#base = new RdbReader({ mayBeFollowed: true, borderBytes: this.#borderBytes });
    let from = 0;
    if (this.#base !== undefined && this.#scanner === undefined) {
      from = this.#base.write(chunk);
      if (from === chunk.length) return;
      this.#summary = this.#base.end();
    }
    const rest = from === 0 ? chunk : chunk.subarray(from);
    this.#scanner ??= this.#begin(rest, this.#sizeBytes + from);
    this.#scanner.write(rest);
  }

  /** A script or a list of settings begins with # as well, and a server would pass over every line of it. */
  #look(chunk: Uint8Array): void {
    if (this.#sizeBytes === 0) this.#isRemark = chunk[0] === firstRemark[0];
    const expected = firstRemark.subarray(this.#sizeBytes, this.#sizeBytes + chunk.length);
    if (this.#isRemark && !expected.equals(chunk.subarray(0, expected.length))) throw foreign(firstRemark[0]);
  }

  /** Commands begin here. Where they do not, it is the RDB file that is followed by something, or no such file at all. */
  #begin(rest: Uint8Array, offset: number): AofScanner {
    const first = rest[0] as number;
    if (first !== 0x2a && first !== 0x23) {
      if (offset > 0) throw damagedRdb("there are bytes after the end of the file", offset);
      throw foreign(first);
    }
    this.#tally = new AofTally(offset);
    return new AofScanner(this.#tally, offset);
  }
}

/** A file that is neither, by its first byte. */
function foreign(first: number | undefined): StatusError {
  const rest = first === gzip ? ": it looks as if packed by gzip, unpack it first" : "";
  return damagedRdb(
    `this is no RDB file, which begins with REDIS or VALKEY and a version, and no AOF, which begins with * or #TS:${rest}`,
    0,
  );
}
