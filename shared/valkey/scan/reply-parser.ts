/** A line is a number or an error's text; of a longer error the rest is passed over. */
const lineBytes = 1024;

/** What replies are made of, told one after the other. A bulk's bytes come in pieces, right after its length. */
export interface ReplyHandler {
  /** `+…` */
  status(): void;
  /** `-…`, without the `-`. */
  error(text: string): void;
  /** `:…`: a number of at most 64 bits. */
  integer(text: string): void;
  /** `*…` */
  array(length: number): void;
  /** `$…`; -1: there is nothing, and no bytes follow. */
  bulk(length: number): void;
  /** `chunk[from, to)` of the bulk that was told last. */
  bytes(chunk: Uint8Array, from: number, to: number): void;
  /** The bulk's last byte was told. */
  bulkEnd(): void;
  /** Not what a server answers. */
  garbage(): void;
}

/** Takes the replies of a server (RESP2) apart, in whatever chunks they come, without holding any. */
export class ReplyParser {
  readonly #handler: ReplyHandler;
  #line = "";
  /** Of a bulk: bytes still to come; -1: none is open. */
  #left = -1;
  /** Bytes of the line's end behind a bulk still to come. */
  #crlf = 0;

  constructor(handler: ReplyHandler) {
    this.#handler = handler;
  }

  push(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#left >= 0) at = this.#readBulk(chunk, at);
      else if (this.#crlf > 0) {
        this.#crlf--;
        at++;
      } else at = this.#readLine(chunk, at);
    }
  }

  #readBulk(chunk: Uint8Array, from: number): number {
    const to = Math.min(chunk.length, from + this.#left);
    if (to > from) this.#handler.bytes(chunk, from, to);
    this.#left -= to - from;
    if (this.#left === 0) this.#endBulk();
    return to;
  }

  #endBulk(): void {
    this.#left = -1;
    this.#crlf = 2;
    this.#handler.bulkEnd();
  }

  /** A status, most of all replies, is told by its first byte; its text is of no interest. */
  #readLine(chunk: Uint8Array, from: number): number {
    let end = from;
    while (end < chunk.length && chunk[end] !== 0x0a) end++;
    const isWhole = end < chunk.length;
    if (isWhole && this.#line === "") {
      if (chunk[from] === 0x2b) this.#handler.status();
      else this.#tell(latin1(chunk, from, end));
      return end + 1;
    }
    this.#line += latin1(chunk, from, Math.min(end, from + lineBytes - this.#line.length));
    if (!isWhole) return end;
    const line = this.#line;
    this.#line = "";
    this.#tell(line);
    return end + 1;
  }

  #tell(line: string): void {
    const text = line.slice(1, line.endsWith("\r") ? -1 : undefined);
    const kind = line.charCodeAt(0);
    if (kind === 0x2b) this.#handler.status();
    else if (kind === 0x2d) this.#handler.error(text);
    else if (!/^-?\d+$/.test(text)) this.#handler.garbage();
    else if (kind === 0x3a) this.#handler.integer(text);
    else if (kind === 0x2a) this.#handler.array(Number(text));
    else if (kind === 0x24) this.#openBulk(Number(text));
    else this.#handler.garbage();
  }

  #openBulk(length: number): void {
    this.#handler.bulk(length);
    if (length < 0) return;
    this.#left = length;
    if (length === 0) this.#endBulk();
  }
}

/** Short texts, which a call into the decoder would cost more than a loop. */
function latin1(chunk: Uint8Array, from: number, to: number): string {
  let text = "";
  for (let at = from; at < to; at++) text += String.fromCharCode(chunk[at] as number);
  return text;
}
