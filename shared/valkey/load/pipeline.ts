import type { Address } from "../address.ts";
import { notValkey } from "../failure.ts";
import type { Link } from "../link.ts";
import { listen } from "../listen.ts";
import type { Block } from "./block.ts";
import { ReplyCounter } from "./replies.ts";
import { Window } from "./window.ts";

/** How long a server may leave commands unanswered; a value of hundreds of megabytes takes it about a second. */
const SILENCE_MS = 30_000;

/** Replies trickle in by the hundred bytes: so long they are gathered, while the server has more than that to do. */
const GATHER_MS = 20;

/** What the sender of a large value tells of it. */
export interface LargeSending {
  /** Its first byte is next. Until then it may have to wait for others, and the server owes no answer to it. */
  begun(): void;
  /** The server has taken a piece. */
  moved(): void;
}

export interface PipelineOptions {
  /** Sends a block whose command is longer than the block. */
  sendLarge(link: Link, block: Block, sending: LargeSending): Promise<void>;
  /** An error reply to one command of the block. Throws what ends the load; otherwise someone else sees to that command. */
  refused(block: Block, command: number, text: string): void;
  /** Every command of the block has its reply. */
  answered(block: Block): void;
  /** Nothing more will come of this connection. */
  failed(reason: unknown): void;
  /** How long the server may answer nothing while it owes answers; 30 s where absent. */
  silenceMs?: number | undefined;
}

/** Commands to one server in one direction, replies in the other, both at once, in blocks that it queues. */
export class Pipeline {
  readonly address: Address;
  /** The block that is being filled. */
  block: Block | undefined;
  /** Selected at the end of all that was filled in; a server in cluster mode does not even let it be selected. */
  database = 0;
  readonly #link: Link;
  readonly #options: PipelineOptions;
  readonly #window = new Window();
  readonly #counter = new ReplyCounter();
  readonly #queue: Block[] = [];
  readonly #reading: Promise<void>;
  #sending: Promise<void> | undefined;

  constructor(address: Address, link: Link, options: PipelineOptions) {
    this.address = address;
    this.#link = link;
    this.#options = options;
    this.#reading = this.#readReplies().catch((reason: unknown) => this.#fail(reason));
  }

  /** Whether the server may still be at work at something. */
  get isOwedReplies(): boolean {
    return this.#window.unanswered > 0;
  }

  /** Queues what was filled in; it is sent as soon as the server takes it. */
  seal(): void {
    if (this.block === undefined) return;
    this.#queue.push(this.block);
    this.block = undefined;
    this.#sending ??= this.#sendAll();
  }

  /** Resolves when nothing of it goes on any more. May be called again. */
  async close(): Promise<void> {
    this.#link.close();
    await this.#reading;
    await this.#sending;
  }

  async #sendAll(): Promise<void> {
    const moved = () => this.#window.moved();
    try {
      for (let block = this.#queue.shift(); block !== undefined; block = this.#queue.shift()) {
        await this.#window.open();
        const begun = () => this.#window.sent(block);
        if (block.large !== undefined) await this.#options.sendLarge(this.#link, block, { begun, moved });
        else {
          begun();
          await this.#link.write(block.bytes.subarray(0, block.at));
        }
        moved();
      }
      this.#sending = undefined;
    } catch (error) {
      // Why the server hung up stands in its last reply: let that be read first.
      if (this.#link.isBroken) await this.#reading;
      this.#fail(error);
    }
  }

  async #readReplies(): Promise<void> {
    const { silenceMs = SILENCE_MS, answered } = this.#options;
    const patience = { silenceMs, gatherMs: GATHER_MS, waitedMs: () => this.#window.waitedMs() };
    await listen(this.#link, this.address, patience, (chunk) => {
      this.#counter.push(chunk);
      for (const { index, text } of this.#counter.takeErrors()) this.#refused(index, text);
      const { isGarbage, count } = this.#counter;
      if (isGarbage || count > this.#window.sentCommands) throw notValkey(this.address);
      for (const block of this.#window.answered(count)) answered(block);
    });
  }

  #refused(index: number, text: string): void {
    const sent = this.#window.commandAt(index);
    if (sent === undefined) throw notValkey(this.address);
    this.#options.refused(sent.block, sent.command, text);
  }

  #fail(reason: unknown): void {
    this.#window.fail(reason);
    this.#options.failed(reason);
  }
}
