import type { Address } from "./address.ts";
import { brokenLink, notValkey } from "./failure.ts";
import type { Link } from "./link.ts";

/** How long a server may leave a command unanswered. */
const SILENCE_MS = 30_000;

/** An error reply, without its `-`. */
export class Refusal {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** What a server answers, but for bulks and lists. */
export type Reply = string | number | Refusal;

/** The replies of one link, pulled one after the other: a bulk in pieces, so that none of them has to be held. */
export class Conversation {
  readonly #link: Link;
  readonly #address: Address;

  constructor(link: Link, address: Address) {
    this.#link = link;
    this.#address = address;
  }

  /** A status, a number or an error. */
  async reply(): Promise<Reply> {
    const line = await this.#link.readLine(SILENCE_MS);
    const rest = line.slice(1);
    if (line.startsWith("+")) return rest;
    if (line.startsWith("-")) return new Refusal(rest);
    if (line.startsWith(":")) return Number(rest);
    throw notValkey(this.#address);
  }

  /** The beginning of a bulk (`$`) or a list (`*`): its length, `undefined` for nil, or the error in its place. */
  async length(sign: "$" | "*"): Promise<number | undefined | Refusal> {
    const line = await this.#link.readLine(SILENCE_MS);
    if (line.startsWith("-")) return new Refusal(line.slice(1));
    if (line === `${sign}-1`) return undefined;
    if (line.startsWith(sign) && /^\d{1,10}$/.test(line.slice(1))) return Number(line.slice(1));
    throw notValkey(this.#address);
  }

  /** So many bytes of a bulk, in pieces that are valid until the next one. */
  async *bytes(length: number): AsyncGenerator<Uint8Array> {
    for (let left = length; left > 0; ) {
      const chunk = await this.#link.read(SILENCE_MS);
      if (chunk === undefined) throw brokenLink(this.#address, new Error("it hung up"));
      const piece = chunk.subarray(0, left);
      left -= piece.length;
      this.#link.unread(chunk.subarray(piece.length));
      yield piece;
    }
  }

  /** The end of a bulk. */
  async bulkEnd(): Promise<void> {
    if ((await this.#link.readLine(SILENCE_MS)) !== "") throw notValkey(this.#address);
  }
}
