/** What a primary's answer to PSYNC turned out to hold. */
export type FrameEvent =
  /** The file begins: the history that it is of, and the place in it. */
  | { is: "resync"; replicationId: string; replicationOffset: number }
  /** Bytes of the RDB file: views of the chunk, or of a small copy. */
  | { is: "bytes"; bytes: Uint8Array }
  /** The server's refusal, without its `-`. */
  | { is: "refused"; text: string }
  /** Not what a server answers to PSYNC. */
  | { is: "garbage" }
  /** The whole file has come. */
  | { is: "end" };

/** Lines before the file are `+FULLRESYNC <40 hex> <offset>` and `$…`; error texts stay far below this. */
const LINE_BYTES = 4096;
/** Bytes of the mark that a diskless transfer is enclosed in (Valkey replication.c, CONFIG_RUN_ID_SIZE). */
const MARK_BYTES = 40;

/**
 * Takes a primary's answer to PSYNC apart, in whatever chunks it comes: newlines that keep the link alive, then
 * `+FULLRESYNC …`, newlines again, then `$<length>` and as many bytes, or `$EOF:<mark>`, bytes, and the mark once more.
 * With a mark, the last 40 bytes are held back until more come, as they may be it.
 */
export class SnapshotFrame {
  #state: "reply" | "header" | "sized" | "marked" | "over" = "reply";
  #line = "";
  #left = 0;
  #mark = Buffer.alloc(0);
  #tail = Buffer.alloc(0);

  /** Once `end`, `refused` or `garbage` was answered, everything further is passed over. */
  push(chunk: Uint8Array): FrameEvent[] {
    const events: FrameEvent[] = [];
    let rest = chunk;
    while (rest.length > 0 && (this.#state === "reply" || this.#state === "header"))
      rest = this.#takeLine(rest, events);
    if (this.#state === "sized") this.#takeSized(rest, events);
    if (this.#state === "marked") this.#takeMarked(rest, events);
    return events;
  }

  #takeLine(bytes: Uint8Array, events: FrameEvent[]): Uint8Array {
    const end = bytes.indexOf(0x0a);
    this.#line += Buffer.from(bytes.subarray(0, end === -1 ? LINE_BYTES : end)).toString("latin1");
    if (end !== -1) {
      const line = this.#line.replace(/\r$/, "");
      this.#line = "";
      if (line !== "") this.#understand(line, events);
    } else if (this.#line.length >= LINE_BYTES) this.#finish({ is: "garbage" }, events);
    return end === -1 ? bytes.subarray(bytes.length) : bytes.subarray(end + 1);
  }

  #understand(line: string, events: FrameEvent[]): void {
    const size = /^\$(\d{1,15})$/.exec(line)?.[1];
    const resync = /^\+FULLRESYNC (\S+) (\d{1,15})$/.exec(line);
    const mark = /^\$EOF:(.{40})$/.exec(line)?.[1];
    if (line.startsWith("-")) this.#finish({ is: "refused", text: line.slice(1) }, events);
    else if (this.#state === "reply" && resync !== null) {
      this.#state = "header";
      events.push({ is: "resync", replicationId: resync[1] ?? "", replicationOffset: Number(resync[2]) });
    } else if (this.#state === "header" && mark !== undefined) {
      this.#mark = Buffer.from(mark, "latin1");
      this.#state = "marked";
    } else if (this.#state === "header" && size !== undefined) {
      this.#left = Number(size);
      this.#state = "sized";
      if (this.#left === 0) this.#finish({ is: "end" }, events);
    } else this.#finish({ is: "garbage" }, events);
  }

  #takeSized(bytes: Uint8Array, events: FrameEvent[]): void {
    const part = bytes.subarray(0, this.#left);
    this.#left -= part.length;
    if (part.length > 0) events.push({ is: "bytes", bytes: part });
    if (this.#left === 0) this.#finish({ is: "end" }, events);
  }

  #takeMarked(bytes: Uint8Array, events: FrameEvent[]): void {
    if (bytes.length < MARK_BYTES) {
      const both = Buffer.concat([this.#tail, bytes]);
      const surplus = Math.max(0, both.length - MARK_BYTES);
      if (surplus > 0) events.push({ is: "bytes", bytes: both.subarray(0, surplus) });
      this.#tail = both.subarray(surplus);
    } else {
      const body = bytes.subarray(0, bytes.length - MARK_BYTES);
      if (this.#tail.length > 0) events.push({ is: "bytes", bytes: this.#tail });
      if (body.length > 0) events.push({ is: "bytes", bytes: body });
      this.#tail = Buffer.from(bytes.subarray(bytes.length - MARK_BYTES));
    }
    if (this.#tail.equals(this.#mark)) this.#finish({ is: "end" }, events);
  }

  #finish(event: FrameEvent, events: FrameEvent[]): void {
    events.push(event);
    this.#state = "over";
  }
}
