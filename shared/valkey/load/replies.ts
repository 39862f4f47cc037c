/** An error reply: which of the replies it was, from 0, and its text without the `-`. */
export interface ErrorReply {
  index: number;
  text: string;
}

/** Error texts are far shorter; more is cut off. */
const TEXT_BYTES = 1024;

/**
 * Counts the replies to a pipeline, whatever the chunks: `+…` and `:…` lines, `$…` bulks and errors, which are kept. Nearly
 * every reply is `+OK\r\n`, which is told by two of its bytes.
 */
export class ReplyCounter {
  /** Replies that are complete, errors among them. */
  count = 0;
  /** Something that is no reply to RESTORE, SELECT or FUNCTION LOAD. */
  isGarbage = false;
  #errors: ErrorReply[] = [];
  #line = "";
  /** Bytes of a bulk and its `\r\n` still to be passed over. */
  #skip = 0;

  push(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length && !this.isGarbage) {
      if (this.#skip > 0) at = this.#passOver(chunk, at);
      else if (this.#line === "" && chunk[at] === 0x2b && chunk[at + 4] === 0x0a) {
        this.count++;
        at += 5;
      } else at = this.#readLine(chunk, at);
    }
  }

  /** The errors since the last call, in their order. */
  takeErrors(): ErrorReply[] {
    const errors = this.#errors;
    if (errors.length > 0) this.#errors = [];
    return errors;
  }

  #passOver(chunk: Uint8Array, at: number): number {
    const passed = Math.min(this.#skip, chunk.length - at);
    this.#skip -= passed;
    if (this.#skip === 0) this.count++;
    return at + passed;
  }

  #readLine(chunk: Uint8Array, at: number): number {
    const newline = chunk.indexOf(0x0a, at);
    const end = newline === -1 ? chunk.length : newline;
    const room = TEXT_BYTES - this.#line.length;
    this.#line += Buffer.from(chunk.subarray(at, Math.min(end, at + room))).toString("latin1");
    if (newline === -1) return end;
    const line = this.#line.replace(/\r$/, "");
    this.#line = "";
    const bulk = /^\$(\d{1,9})$/.exec(line)?.[1];
    if (bulk !== undefined) this.#skip = Number(bulk) + 2;
    else if (/^[-+:]/.test(line)) {
      if (line.startsWith("-")) this.#errors.push({ index: this.count, text: line.slice(1) });
      this.count++;
    } else this.isGarbage = true;
    return end + 1;
  }
}
