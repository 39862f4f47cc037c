import type { Block } from "./block.ts";
import { Gate } from "./gate.ts";

/** Bounds of what was sent and not answered: enough to keep a server busy over some milliseconds of distance. */
const MAX_COMMANDS = 16_384;
const MAX_BYTES = 4 * 1024 * 1024;

/** What a connection has sent and what of it was answered; holds the sender back while too much is under way. */
export class Window {
  readonly #gate = new Gate();
  /** Blocks that are not answered in full, with the number of commands up to the end of each. */
  readonly #blocks: { block: Block; end: number }[] = [];
  #sentCommands = 0;
  #answeredCommands = 0;
  #unansweredBytes = 0;
  #waitsSince = 0;

  get sentCommands(): number {
    return this.#sentCommands;
  }

  /** Commands that await their reply. */
  get unanswered(): number {
    return this.#sentCommands - this.#answeredCommands;
  }

  /** How long the server has owed answers without giving one, or without taking more of what is sent. */
  waitedMs(): number {
    return this.unanswered > 0 ? performance.now() - this.#waitsSince : 0;
  }

  /** The server has taken something. */
  moved(): void {
    this.#waitsSince = performance.now();
  }

  sent(block: Block): void {
    if (this.unanswered === 0) this.moved();
    this.#sentCommands += block.commands;
    this.#unansweredBytes += block.at;
    this.#blocks.push({ block, end: this.#sentCommands });
  }

  /** The command with this number, from 0, which awaits its reply. */
  commandAt(index: number): { block: Block; command: number } | undefined {
    const sent = this.#blocks.find(({ end }) => index < end);
    return sent && { block: sent.block, command: index - sent.end + sent.block.commands };
  }

  /** So many replies have come since the beginning; answers the blocks that are done by that. */
  answered(commands: number): Block[] {
    this.#answeredCommands = commands;
    this.moved();
    const done: Block[] = [];
    while (this.#blocks[0] !== undefined && this.#blocks[0].end <= commands) {
      const { block } = this.#blocks[0];
      this.#blocks.shift();
      this.#unansweredBytes -= block.at;
      done.push(block);
    }
    this.#gate.wake();
    return done;
  }

  /** There will be no more replies: whoever waits, waits in vain. */
  fail(reason: unknown): void {
    this.#gate.fail(reason);
  }

  /** Resolves when more may be sent. */
  async open(): Promise<void> {
    await this.#gate.until(
      () => this.unanswered < MAX_COMMANDS && (this.unanswered === 0 || this.#unansweredBytes < MAX_BYTES),
    );
  }
}
