import { parseJson } from "./call.ts";
import { invalid } from "./error.ts";

/** The largest first part: object metadata is limited to 8 KiB in Cloud Storage, its headers are a few lines. */
const largestMetadataBytes = 1 << 20;

/** A `multipart/related` upload: the object's metadata first, then its bytes, which are read as they are taken. */
export interface Multipart {
  metadata: unknown;
  contentType: string | undefined;
  media: AsyncIterable<Buffer>;
}

/** Opens a `multipart/related` body. `media` throws if the body ends before its closing boundary. */
export async function readMultipart(body: AsyncIterable<Buffer>, header: string | undefined): Promise<Multipart> {
  const [, quoted, plain] = /^multipart\/related;.*boundary=(?:"([^"]+)"|([^;\s]+))/i.exec(header ?? "") ?? [];
  const boundary = quoted ?? plain;
  if (boundary === undefined) throw invalid(`Expected a multipart/related body with a boundary, found "${header}"`);
  const reader = new Reader(body, Buffer.from(`\r\n--${boundary}`));
  await reader.until(reader.delimiter);
  await reader.until(headEnd);
  const metadata = parseJson((await reader.until(reader.delimiter)).toString());
  const head = (await reader.until(headEnd)).toString();
  const contentType = /^content-type:\s*(.*?)\s*$/im.exec(head)?.[1];
  return { metadata, contentType, media: reader.media() };
}

const headEnd = Buffer.from("\r\n\r\n");

class Reader {
  readonly delimiter: Buffer;
  readonly #chunks: AsyncIterator<Buffer>;
  // A body may start with its boundary; the line break that precedes all the others is put before this one.
  #held: Buffer = Buffer.from("\r\n");

  constructor(body: AsyncIterable<Buffer>, delimiter: Buffer) {
    this.#chunks = body[Symbol.asyncIterator]();
    this.delimiter = delimiter;
  }

  async #more(): Promise<void> {
    const { done, value } = await this.#chunks.next();
    if (done) throw invalid("The multipart body ends before its closing boundary");
    this.#held = this.#held.length === 0 ? value : Buffer.concat([this.#held, value]);
  }

  /** What comes before the mark, which is passed over too. */
  async until(mark: Buffer): Promise<Buffer> {
    let at = this.#held.indexOf(mark);
    while (at < 0) {
      if (this.#held.length > largestMetadataBytes) throw invalid("The multipart body's metadata part is too large");
      await this.#more();
      at = this.#held.indexOf(mark);
    }
    const before = this.#held.subarray(0, at);
    this.#held = this.#held.subarray(at + mark.length);
    return before;
  }

  /** The last part's bytes, up to the closing boundary. */
  async *media(): AsyncGenerator<Buffer> {
    for (let at = -1; at < 0; ) {
      at = this.#held.indexOf(this.delimiter);
      const safe = at < 0 ? Math.max(0, this.#held.length - this.delimiter.length + 1) : at;
      if (safe > 0) yield this.#held.subarray(0, safe);
      this.#held = this.#held.subarray(at < 0 ? safe : at + this.delimiter.length);
      if (at < 0) await this.#more();
    }
    while (this.#held.length < 2) await this.#more();
    if (this.#held.toString("latin1", 0, 2) !== "--") throw invalid("The multipart body has more than two parts");
  }
}
