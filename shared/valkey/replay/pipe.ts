import type { StatusError } from "../../error.ts";
import type { ReplayMark } from "../../pipeline/ports.ts";
import type { Address } from "../address.ts";
import { notValkey } from "../failure.ts";
import type { Link } from "../link.ts";
import { listen } from "../listen.ts";
import { type BatchError, BatchReplies } from "./batch-replies.ts";

/** What one write to the socket carries; larger blocks bring no speed. */
const blockBytes = 256 * 1024;

/** Batches that may be unanswered: enough to keep a server busy over some milliseconds of distance. */
const batchesUnderWay = 16;

/** A batch that is on its way: where it begins, and where the target stands once it is carried out. */
interface SentBatch {
  from: ReplayMark;
  to: ReplayMark;
  /** As far as it was written. */
  bytes: number;
}

export interface ReplayPipeOptions {
  /** What an error reply within the batch that begins there means. */
  failure(error: BatchError, batch: ReplayMark): StatusError;
  onProgress: ((mark: ReplayMark) => void) | undefined;
  /** How long the server may answer nothing while it owes answers. */
  silenceMs: number;
}

/** Batches in one direction, replies in the other, both at once; the first error reply ends it. */
export class ReplayPipe {
  readonly #link: Link;
  readonly #address: Address;
  readonly #options: ReplayPipeOptions;
  readonly #replies = new BatchReplies();
  /** Batches that are not answered, the oldest first: the one that is being written is the last. */
  readonly #sent: SentBatch[] = [];
  #answered = 0;
  #block = new Uint8Array(blockBytes);
  #other = new Uint8Array(blockBytes);
  #at = 0;
  #writing: Promise<void> = Promise.resolve();
  #lastMoved = performance.now();
  #failure: { reason: unknown } | undefined;
  #wake: () => void = () => undefined;

  constructor(link: Link, address: Address, options: ReplayPipeOptions) {
    this.#link = link;
    this.#address = address;
    this.#options = options;
  }

  /** The batch that the next reply is to: where it begins, and how much of it was written. */
  get unanswered(): Pick<SentBatch, "from" | "bytes"> | undefined {
    return this.#sent[0];
  }

  /** Runs the writer to its end with the replies read beside it. Nothing of both goes on once this settles. */
  async run(signal: AbortSignal, write: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const over = new AbortController();
    const reading = this.#readReplies().catch((reason: unknown) => {
      this.#failure ??= { reason };
      this.#wake();
      over.abort(reason);
    });
    try {
      await write(AbortSignal.any([signal, over.signal]));
      await this.#flush();
      await this.#writing;
      await this.#until(() => this.#sent.length === 0);
    } catch (error) {
      signal.throwIfAborted();
      // Why the server hung up stands in its last reply: let it be read before the link is closed.
      if (this.#link.isBroken) await reading;
      throw over.signal.aborted ? over.signal.reason : error;
    } finally {
      this.#link.close();
      await reading;
    }
  }

  /** Adds bytes, however many; they may be reused once this resolves. */
  async append(bytes: Uint8Array): Promise<void> {
    const batch = this.#sent.at(-1);
    if (batch !== undefined) batch.bytes += bytes.length;
    for (let from = 0; from < bytes.length; ) {
      if (this.#at === this.#block.length) await this.#flush();
      const part = bytes.subarray(from, from + this.#block.length - this.#at);
      this.#block.set(part, this.#at);
      this.#at += part.length;
      from += part.length;
    }
  }

  /** A batch begins there. Waits while too many are unanswered. */
  async open(from: ReplayMark): Promise<void> {
    if (this.#sent.length >= batchesUnderWay) await this.#flush();
    await this.#until(() => this.#sent.length < batchesUnderWay);
    if (this.#sent.length === 0) this.#lastMoved = performance.now();
    this.#sent.push({ from, to: from, bytes: 0 });
  }

  /** The batch is complete with what was appended since. */
  close(to: ReplayMark): void {
    const batch = this.#sent.at(-1);
    if (batch !== undefined) batch.to = to;
  }

  async #flush(): Promise<void> {
    await this.#writing;
    if (this.#at === 0) return;
    const full = this.#block;
    this.#writing = this.#link.write(full.subarray(0, this.#at));
    // Whoever waits for it next gets the error; until then it must not count as unhandled.
    this.#writing.then(
      () => {
        this.#lastMoved = performance.now();
      },
      () => undefined,
    );
    this.#block = this.#other;
    this.#other = full;
    this.#at = 0;
  }

  async #readReplies(): Promise<void> {
    const { silenceMs, failure } = this.#options;
    const waitedMs = () => (this.#sent.length > 0 ? performance.now() - this.#lastMoved : 0);
    await listen(this.#link, this.#address, { silenceMs, waitedMs }, (chunk) => {
      this.#replies.push(chunk);
      this.#lastMoved = performance.now();
      this.#takeAnswers();
      const { error, isGarbage } = this.#replies;
      const [batch] = this.#sent;
      if (error !== undefined && batch !== undefined) throw failure(error, batch.from);
      if (isGarbage || error !== undefined) throw notValkey(this.#address);
    });
  }

  #takeAnswers(): void {
    const done = this.#sent.splice(0, this.#replies.count - this.#answered);
    this.#answered = this.#replies.count;
    const last = done.at(-1);
    if (last === undefined) return;
    this.#options.onProgress?.(last.to);
    this.#wake();
  }

  async #until(isSo: () => boolean): Promise<void> {
    while (this.#failure === undefined && !isSo()) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.#failure !== undefined) throw this.#failure.reason;
  }
}
