/** Bounds of what was sent and not answered: enough to keep a server busy over some milliseconds of distance. */
const MAX_COMMANDS = 16_384;
const MAX_BYTES = 4 * 1024 * 1024;

/** One block that was sent: the counts up to its end. */
interface Sent {
  commands: number;
  bytes: number;
  fileOffset: number;
}

/** What a pipeline has sent and what of it was answered; holds the writer back while too much is under way. */
export class Window {
  readonly #onProgress: ((fileOffset: number) => void) | undefined;
  /** Blocks that are not answered in full. */
  #blocks: Sent[] = [];
  #sent: Sent = { commands: 0, bytes: 0, fileOffset: 0 };
  #answeredCommands = 0;
  #answeredBytes = 0;
  #waitsSince = 0;
  #wake: () => void = () => undefined;
  #failure: { reason: unknown } | undefined;

  constructor(onProgress?: (fileOffset: number) => void) {
    this.#onProgress = onProgress;
  }

  /** Commands that await their reply. */
  get unanswered(): number {
    return this.#sent.commands - this.#answeredCommands;
  }

  /** How long the server has owed answers without giving one. */
  waitedMs(): number {
    return this.unanswered > 0 ? performance.now() - this.#waitsSince : 0;
  }

  sent(commands: number, bytes: number, fileOffset: number): void {
    const before = this.#sent;
    if (this.unanswered === 0) this.#waitsSince = performance.now();
    this.#sent = { commands: before.commands + commands, bytes: before.bytes + bytes, fileOffset };
    this.#blocks.push(this.#sent);
  }

  /** So many replies have come since the beginning. Tells the progress of each block that is done. */
  answered(commands: number): void {
    this.#answeredCommands = commands;
    this.#waitsSince = performance.now();
    let done: Sent | undefined;
    while (this.#blocks[0] !== undefined && this.#blocks[0].commands <= commands) done = this.#blocks.shift();
    if (done !== undefined) {
      this.#answeredBytes = done.bytes;
      this.#onProgress?.(done.fileOffset);
    }
    this.#wake();
  }

  /** There will be no more replies: whoever waits, waits in vain. */
  fail(reason: unknown): void {
    this.#failure ??= { reason };
    this.#wake();
  }

  /** Resolves when more may be sent. */
  async open(): Promise<void> {
    await this.#until(
      () =>
        this.unanswered < MAX_COMMANDS && (this.unanswered === 0 || this.#sent.bytes - this.#answeredBytes < MAX_BYTES),
    );
  }

  /** Resolves when everything was answered. */
  async drained(): Promise<void> {
    await this.#until(() => this.unanswered === 0);
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
