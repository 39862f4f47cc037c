import type { StatusError } from "../error.ts";
import type { Address } from "./address.ts";
import { brokenLink, notValkey } from "./failure.ts";
import type { Link } from "./link.ts";
import { ReplyCounter } from "./replies.ts";
import { RespWriter } from "./resp-writer.ts";
import { Window } from "./window.ts";

/** How long a server may leave commands unanswered; a value of hundreds of megabytes takes it about a second. */
const SILENCE_MS = 30_000;

/** A power of two above the commands that can be unanswered: the window's 16,384 and what two blocks can hold. */
const KINDS = 65_536;

/** What Node's timers can wait at most: for ever. */
const FOREVER_MS = 2 ** 31 - 1;

export interface PipelineOptions {
  /** What an error reply to a command of this kind means. */
  failure: (kind: number, text: string) => StatusError;
  onProgress?: ((fileOffset: number) => void) | undefined;
  /** How long the server may answer nothing while it owes answers; 30 s where absent. */
  silenceMs?: number | undefined;
}

/** Commands in one direction, replies in the other, both at once; the first error reply ends it. */
export class Pipeline {
  readonly writer: RespWriter;
  readonly #link: Link;
  readonly #address: Address;
  readonly #options: PipelineOptions;
  readonly #window: Window;
  readonly #counter = new ReplyCounter();
  /** What was asked, by the command's number modulo the length. */
  readonly #kinds = new Int16Array(KINDS);
  #queued = 0;

  constructor(link: Link, address: Address, options: PipelineOptions) {
    this.#link = link;
    this.#address = address;
    this.#options = options;
    this.#window = new Window(options.onProgress);
    this.writer = new RespWriter(link, (...sent) => this.#window.sent(...sent));
  }

  /** Runs the writer to its end with the replies read beside it. Nothing of both goes on once this settles. */
  async run<T>(signal: AbortSignal, write: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const over = new AbortController();
    const reading = this.#readReplies().catch((reason: unknown) => {
      this.#window.fail(reason);
      over.abort(reason);
    });
    try {
      const result = await write(AbortSignal.any([signal, over.signal]));
      await this.writer.flush();
      await this.#window.drained();
      return result;
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

  /** The next command that is written will be of this kind. */
  queue(kind: number): void {
    this.#kinds[this.#queued & (KINDS - 1)] = kind;
    this.#queued++;
  }

  /** A whole command of this kind. */
  async send(kind: number, bytes: Uint8Array): Promise<void> {
    this.queue(kind);
    await this.writer.append(bytes);
    this.writer.commands++;
  }

  /** Sends what was written, and waits while too much is unanswered. */
  async flush(): Promise<void> {
    await this.writer.flush();
    await this.#window.open();
  }

  async #readReplies(): Promise<void> {
    const { failure, silenceMs = SILENCE_MS } = this.#options;
    let isSilent = false;
    const watch = setInterval(() => {
      isSilent = this.#window.waitedMs() >= silenceMs;
      if (isSilent) this.#link.close();
    }, silenceMs / 4);
    try {
      for (;;) {
        const chunk = await this.#link.read(FOREVER_MS);
        if (chunk === undefined) {
          const why = isSilent ? `it answered nothing for ${silenceMs / 1000} s` : "it hung up";
          throw brokenLink(this.#address, new Error(why));
        }
        this.#counter.push(chunk);
        const { error, isGarbage, count } = this.#counter;
        if (error) throw failure(this.#kinds[error.index & (KINDS - 1)] ?? 0, error.text);
        if (isGarbage || count > this.#queued) throw notValkey(this.#address);
        this.#window.answered(count);
      }
    } finally {
      clearInterval(watch);
    }
  }
}
