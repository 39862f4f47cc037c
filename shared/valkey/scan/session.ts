import type { Address } from "../address.ts";
import { brokenLink, notValkey, replyFailure } from "../failure.ts";
import type { Link } from "../link.ts";
import { command } from "../resp.ts";
import { ErrorReply, Expectations, Expected } from "./expected.ts";
import { ReplyParser } from "./reply-parser.ts";

/** A reply is one bulk or one line, and small enough to be held. */
class OneReply extends Expected {
  readonly command: string;
  readonly #pieces: Buffer[] = [];

  constructor(name: string) {
    super();
    this.command = name;
  }

  get whole(): Buffer {
    return Buffer.concat(this.#pieces);
  }

  override status(): void {
    this.isDone = true;
  }
  override bulk(length: number): void {
    if (length < 0) this.garbage();
  }
  override bytes(chunk: Uint8Array, from: number, to: number): void {
    this.#pieces.push(Buffer.from(chunk.subarray(from, to)));
  }
  override bulkEnd(): void {
    this.isDone = true;
  }
}

/** Where nothing was asked, nothing may come. */
class Unasked extends Expected {
  readonly command = "nothing";

  override status(): void {
    this.garbage();
  }
}

/** Commands and their replies over one link, as many at a time as whoever uses it likes. */
export class Session {
  readonly #address: Address;
  readonly #link: Link;
  readonly #silenceMs: number;
  readonly #expectations = new Expectations(new Unasked());
  readonly #parser = new ReplyParser(this.#expectations);

  constructor(address: Address, link: Link, silenceMs: number) {
    this.#address = address;
    this.#link = link;
    this.#silenceMs = silenceMs;
  }

  /** Whether everything that was asked is answered. */
  get isIdle(): boolean {
    return this.#expectations.isEmpty;
  }

  /** Adds a reply to those that are awaited; its commands must be sent in the same order. */
  expect(expected: Expected): void {
    this.#expectations.add(expected);
  }

  /** A link that cannot be written to cannot be read from either, where its error is thrown. */
  send(commands: Uint8Array): void {
    this.#link.write(commands).catch(() => undefined);
  }

  /** Waits for more of the replies, and hands them to those who expect them. UNAVAILABLE: the link broke, or is silent. */
  async receive(): Promise<void> {
    const chunk = await this.#link.read(this.#silenceMs);
    if (chunk === undefined) throw brokenLink(this.#address, new Error("it hung up"));
    try {
      this.#parser.push(chunk);
    } catch (error) {
      if (!(error instanceof ErrorReply)) throw error;
      throw replyFailure(this.#address, error.command, error.text);
    }
  }

  /** Asks one command whose reply is a bulk, and answers it, or nothing where the reply is a status. */
  async ask(...words: string[]): Promise<Buffer> {
    if (!this.isIdle) throw notValkey(this.#address);
    const reply = new OneReply(words.slice(0, words[0] === "FUNCTION" ? 2 : 1).join(" "));
    this.expect(reply);
    this.send(command(words));
    while (!reply.isDone) await this.receive();
    return reply.whole;
  }
}
