import type { Gate } from "./gate.ts";
import type { Span } from "./watermark.ts";

/** What one write to the socket carries; larger blocks bring no speed. */
const MOST_BLOCK_BYTES = 256 * 1024;
/** All commands that are filled in, queued or unanswered: what a single server needs, and what any number may have. */
const BYTES_PER_NODE = 6 * 1024 * 1024;
const MOST_BYTES = 32 * 1024 * 1024;

/** The value of a command that no block can hold: it is read from the file while it is sent. */
export interface LargeValue {
  type: number;
  /** In the file, without the type. */
  start: number;
  end: number;
  /** What follows the value and its checksum in the command. */
  tail: Uint8Array;
}

/** Whole commands on their way to one server. They stay here until they are answered, as they may have to be sent again. */
export interface Block {
  readonly bytes: Uint8Array;
  /** Filled up to here. */
  at: number;
  commands: number;
  /** Where in the file its first command comes from. */
  readonly span: Span;
  /** Its bytes are then the beginning of one command. */
  large?: LargeValue;
  /** Commands that are being sent to another node. */
  redirected: number;
  isAnswered: boolean;
}

/**
 * The memory of a load, shared by the connections to all nodes: a node that is slow takes what the others leave, and
 * holds them up only when nothing is left. With many nodes the blocks are smaller, so that each node can have some.
 */
export class BlockPool {
  readonly blockBytes: number;
  readonly #limit: number;
  /** What may be begun for all nodes together before anybody rests. */
  readonly #roundBytes: number;
  readonly #gate: Gate;
  readonly #free: Uint8Array[] = [];
  #used = 0;

  constructor(nodes: number, gate: Gate) {
    this.#limit = Math.min(MOST_BYTES, nodes * BYTES_PER_NODE);
    this.blockBytes = Math.min(MOST_BLOCK_BYTES, Math.floor(this.#limit / (4 * nodes)));
    this.#roundBytes = nodes * this.blockBytes;
    this.#gate = gate;
  }

  /** A block that takes so many bytes, for what begins in this span. One that is longer than `blockBytes` must be sent at once. */
  take(bytes: number, span: Span): Block {
    const size = Math.max(bytes, this.blockBytes);
    this.#used += size;
    const free = size === this.blockBytes ? this.#free.pop() : undefined;
    span.begin();
    return {
      bytes: free ?? Buffer.allocUnsafeSlow(size),
      at: 0,
      commands: 0,
      span,
      redirected: 0,
      isAnswered: false,
    };
  }

  /**
   * A promise to be awaited before more is taken, if there might be no room for a block for each node. What is not full yet need not
   * be sent for that: it is a fourth of all at most, and room for a fourth is waited for.
   */
  rest(): Promise<void> | undefined {
    const hasRoom = () => this.#used + this.#roundBytes <= this.#limit;
    return hasRoom() ? undefined : this.#gate.until(hasRoom);
  }

  giveBack({ bytes, span }: Block): void {
    this.#used -= bytes.length;
    if (bytes.length === this.blockBytes) this.#free.push(bytes);
    span.end();
    this.#gate.wake();
  }

  /** Resolves once every block was given back. */
  async drained(): Promise<void> {
    await this.#gate.until(() => this.#used === 0);
  }
}
