import type { Link } from "./link.ts";

/** What one write to the socket carries; larger blocks bring no speed. */
export const BLOCK_BYTES = 256 * 1024;

/** Told what is on its way to the server, and how far into the file it reaches. */
export type OnSent = (commands: number, bytes: number, fileOffset: number) => void;

/**
 * Collects commands in blocks and sends each block as it gets full: while the kernel takes one, the other is filled. The
 * fields are for the encoder of the hot loop: it writes at `at` into `block`, after it has asked for `room`.
 */
export class RespWriter {
  block: Uint8Array = new Uint8Array(BLOCK_BYTES);
  at = 0;
  /** Commands that end in this block. */
  commands = 0;
  /** The end, in the file, of the last record in this block. */
  fileOffset = 0;
  readonly #link: Link;
  readonly #onSent: OnSent;
  #other: Uint8Array = new Uint8Array(BLOCK_BYTES);
  #writing: Promise<void> = Promise.resolve();

  constructor(link: Link, onSent: OnSent) {
    this.#link = link;
    this.#onSent = onSent;
  }

  /** Whether so many bytes fit; if not, `flush` makes room, of `BLOCK_BYTES` at most. */
  hasRoom(bytes: number): boolean {
    return bytes <= this.block.length - this.at;
  }

  /** Sends the block. Resolves when the next one may be filled. */
  async flush(): Promise<void> {
    await this.#writing;
    if (this.at === 0) return;
    const full = this.block;
    const bytes = this.at;
    this.#writing = this.#link.write(full.subarray(0, bytes));
    // Whoever waits for it next gets the error; until then it must not count as unhandled.
    this.#writing.catch(() => undefined);
    this.#onSent(this.commands, bytes, this.fileOffset);
    this.block = this.#other;
    this.#other = full;
    this.at = 0;
    this.commands = 0;
  }

  /** Adds bytes, however many; they may be reused once this resolves. */
  async append(bytes: Uint8Array): Promise<void> {
    for (let from = 0; from < bytes.length; ) {
      if (this.at === this.block.length) await this.flush();
      const part = bytes.subarray(from, from + this.block.length - this.at);
      this.block.set(part, this.at);
      this.at += part.length;
      from += part.length;
    }
  }
}
