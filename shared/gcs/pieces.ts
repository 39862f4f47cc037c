import type { IncomingMessage } from "node:http";
import { giveBack } from "./give-back.ts";

/** Sockets bring 64 KiB at a time; what each costs whoever waits for it does not show any more in pieces of this size. */
const pieceBytes = 256 * 1024;

export interface PiecesOptions {
  /** How long nothing may come while somebody waits, in milliseconds. */
  stallMs: number;
  /** Whether every piece may be in the memory of the one before. */
  fleeting: boolean;
  /** Something has come. */
  progress(): void;
}

/** The connection broke, or was silent for too long. */
export class BrokenBody extends Error {}

/**
 * The bytes of a body in pieces, all but the last of one size. Only the wait for the connection is timed, not the consumer's.
 * Throws `BrokenBody`, after all that has come. Leaving the loop ends the connection.
 */
export async function* piecesOf(body: IncomingMessage, options: PiecesOptions): AsyncGenerator<Uint8Array> {
  const filler = new Filler(body, options);
  try {
    for (let piece = await filler.next(); piece !== undefined; piece = await filler.next()) yield piece;
  } finally {
    filler.close();
  }
}

/** Fills a piece from the socket's chunks as they come: a promise for each chunk would cost more than to copy it. */
class Filler {
  readonly #body: IncomingMessage;
  readonly #options: PiecesOptions;
  readonly #stalled: NodeJS.Timeout;
  #piece = Buffer.allocUnsafeSlow(pieceBytes);
  #filledBytes = 0;
  /** The chunk that came last, and what of it is for the next piece. */
  #chunk: Buffer | undefined;
  #rest: Buffer | undefined;
  #hasEnded = false;
  #failure: Error | undefined;
  #wake: (() => void) | undefined;

  constructor(body: IncomingMessage, options: PiecesOptions) {
    this.#body = body;
    this.#options = options;
    this.#stalled = setTimeout(() => this.#stall(), options.stallMs);
    body.pause();
    body.on("data", (chunk: Buffer) => this.#take(chunk));
    body.on("end", () => {
      this.#hasEnded = true;
      this.#wake?.();
    });
    body.on("error", (error) => this.#fail(error));
    body.on("close", () => this.#fail(new Error("it was closed early")));
  }

  /** The next piece, or nothing at the end. */
  async next(): Promise<Uint8Array | undefined> {
    if (this.#filledBytes > 0 && !this.#options.fleeting) this.#piece = Buffer.allocUnsafeSlow(pieceBytes);
    this.#filledBytes = 0;
    if (this.#rest !== undefined) this.#fill(this.#rest);
    while (this.#filledBytes < pieceBytes && !this.#hasEnded && this.#failure === undefined) await this.#more();
    if (this.#filledBytes > 0) return this.#piece.subarray(0, this.#filledBytes);
    if (!this.#hasEnded && this.#failure !== undefined) throw new BrokenBody(this.#failure.message);
    return undefined;
  }

  close(): void {
    clearTimeout(this.#stalled);
    if (!this.#hasEnded) this.#body.destroy();
  }

  async #more(): Promise<void> {
    this.#stalled.refresh();
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      this.#body.resume();
    });
    this.#wake = undefined;
  }

  #take(chunk: Buffer): void {
    // Not its own: the parser that it comes from still looks at that.
    if (this.#chunk !== undefined) giveBack(this.#chunk);
    this.#chunk = chunk;
    this.#stalled.refresh();
    this.#options.progress();
    this.#fill(chunk);
    if (this.#filledBytes < pieceBytes) return;
    this.#body.pause();
    this.#wake?.();
  }

  #fill(bytes: Buffer): void {
    const copied = bytes.copy(this.#piece, this.#filledBytes);
    this.#filledBytes += copied;
    this.#rest = copied < bytes.length ? bytes.subarray(copied) : undefined;
  }

  #stall(): void {
    if (this.#wake !== undefined) this.#body.destroy(new Error(`nothing moved for ${this.#options.stallMs / 1000} s`));
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#wake?.();
  }
}
