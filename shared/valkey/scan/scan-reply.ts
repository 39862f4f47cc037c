import { Expected } from "./expected.ts";
import { KeyBatch } from "./key-batch.ts";

/** What a call of SCAN is answered with, or, where it was sent between two probes, all three. */
export class ScanReply extends Expected {
  readonly command = "SCAN";
  readonly keys = new KeyBatch();
  /** The cursor to go on with. */
  cursor = "";
  /** Where the probes ended, before the call and after it; none without them. */
  readonly probed: string[] = [];
  /** Replies that are still to come: a probe is every one but the second of three. */
  #left: number;
  readonly #hasProbes: boolean;
  #awaits: "transaction" | "pair" | "cursor" | "keys" = "pair";
  #text = "";
  #keysLeft = 0;

  constructor(hasProbes: boolean) {
    super();
    this.#left = hasProbes ? 3 : 1;
    this.#hasProbes = hasProbes;
    if (hasProbes) this.#awaits = "transaction";
  }

  get #isProbe(): boolean {
    return this.#hasProbes && this.#left !== 2;
  }

  override array(length: number): void {
    if (this.#awaits === "transaction" && length === 3) this.#awaits = "pair";
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
      if (this.#isProbe) this.probed.push(this.#text);
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
    this.#left--;
    this.isDone = this.#left === 0;
    this.#awaits = "pair";
  }
}
