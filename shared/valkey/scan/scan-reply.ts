import { Expected } from "./expected.ts";
import { KeyBatch } from "./key-batch.ts";

/** What a call of SCAN is answered with, or, where it was sent with a probe, both calls. */
export class ScanReply extends Expected {
  readonly command = "SCAN";
  readonly keys = new KeyBatch();
  /** The cursor to go on with. */
  cursor = "";
  /** Where the probe's call ended; empty without one. */
  probed = "";
  readonly #hasProbe: boolean;
  #awaits: "transaction" | "pair" | "cursor" | "keys" = "pair";
  #isProbe = false;
  #text = "";
  #keysLeft = 0;

  constructor(hasProbe: boolean) {
    super();
    this.#hasProbe = hasProbe;
    if (hasProbe) this.#awaits = "transaction";
  }

  override array(length: number): void {
    if (this.#awaits === "transaction" && length === 2) this.#awaits = "pair";
    else if (this.#awaits === "pair" && length === 2) this.#awaits = "cursor";
    else if (this.#awaits === "keys") {
      this.#keysLeft = length;
      this.#endIfDone();
    } else this.garbage();
  }

  override bulk(length: number): void {
    if (length < 0 || this.#awaits === "pair" || this.#awaits === "transaction") this.garbage();
  }

  override bytes(chunk: Uint8Array, from: number, to: number): void {
    if (this.#awaits === "cursor") this.#text += Buffer.from(chunk.subarray(from, to)).toString("latin1");
    else if (!this.#isProbe) this.keys.append(chunk, from, to);
  }

  override bulkEnd(): void {
    if (this.#awaits === "cursor") {
      if (this.#isProbe) this.probed = this.#text;
      else this.cursor = this.#text;
      this.#text = "";
      this.#awaits = "keys";
      return;
    }
    if (!this.#isProbe) this.keys.close();
    this.#keysLeft--;
    this.#endIfDone();
  }

  #endIfDone(): void {
    if (this.#keysLeft > 0) return;
    this.isDone = this.#isProbe || !this.#hasProbe;
    this.#isProbe = true;
    this.#awaits = "pair";
  }
}
