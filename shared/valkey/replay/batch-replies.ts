/** An error reply within a batch. */
export interface BatchError {
  /** Which batch, from 0 on. */
  batch: number;
  /** Which of its replies, from 0 on: before the EXEC's, or within it. */
  index: number;
  /** It came after the batch had begun to be carried out: the others of it were. */
  isCarriedOut: boolean;
  /** Its text without the `-`; may name keys. */
  text: string;
}

/** Error texts are far shorter; more is cut off. */
const textBytes = 1024;

const [plus, lineFeed] = [0x2b, 0x0a];

/**
 * Follows the replies to batches, each a MULTI, its commands and an EXEC, whatever the chunks: `+OK`, `+QUEUED` for each, and
 * the array of EXEC, in which anything may stand. Stops at the first error. Holds nothing of a reply but an error's text.
 */
export class BatchReplies {
  /** Batches that are answered. */
  count = 0;
  error: BatchError | undefined;
  /** Something that no server answers to a batch. */
  isGarbage = false;
  #line = "";
  /** Bytes of a bulk and its `\r\n` still to be passed over. */
  #skip = 0;
  /** Elements that are still to come of the arrays that are open, the EXEC's first. */
  readonly #open: number[] = [];
  #index = 0;

  push(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length && this.error === undefined && !this.isGarbage) {
      if (this.#skip > 0) {
        const passed = Math.min(this.#skip, chunk.length - at);
        this.#skip -= passed;
        at += passed;
        if (this.#skip === 0) this.#complete();
      } else if (this.#line === "" && chunk[at] === plus && chunk[at + 8] === lineFeed && this.#open.length === 0) {
        // `+QUEUED`, which nearly every reply is.
        this.#index++;
        at += 9;
      } else at = this.#readLine(chunk, at);
    }
  }

  #readLine(chunk: Uint8Array, at: number): number {
    const found = chunk.indexOf(lineFeed, at);
    const end = found === -1 ? chunk.length : found;
    const room = textBytes - this.#line.length;
    this.#line += Buffer.from(chunk.subarray(at, Math.min(end, at + room))).toString("latin1");
    if (found === -1) return end;
    const line = this.#line.replace(/\r$/, "");
    this.#line = "";
    this.#take(line);
    return end + 1;
  }

  #take(line: string): void {
    const [, sign, number] = /^([$*])(-?\d{1,10})$/.exec(line) ?? [];
    const count = Number(number);
    if (line.startsWith("-")) {
      const isCarriedOut = this.#open.length > 0;
      this.error = { batch: this.count, index: this.#index, isCarriedOut, text: line.slice(1) };
    } else if (sign === "$" && count >= 0) this.#skip = count + 2;
    else if (sign === "*" && count > 0) {
      if (this.#open.length === 0) this.#index = 0;
      this.#open.push(count);
    } else if ((sign !== undefined && this.#open.length > 0) || /^[+:]/.test(line)) this.#complete();
    else this.isGarbage = true;
  }

  /** An element has come to its end, and with it maybe the arrays around it. */
  #complete(): void {
    if (this.#open.length <= 1) this.#index++;
    while (this.#open.length > 0) {
      const left = (this.#open.pop() as number) - 1;
      if (left > 0) {
        this.#open.push(left);
        return;
      }
      if (this.#open.length === 1) this.#index++;
      if (this.#open.length === 0) {
        this.count++;
        this.#index = 0;
      }
    }
  }
}
