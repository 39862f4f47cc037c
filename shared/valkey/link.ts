import type { Address } from "./address.ts";
import { brokenLink, isGreeting, nobodyAnswers, notValkey, replyFailure } from "./failure.ts";
import { Inbox } from "./inbox.ts";
import { command } from "./resp.ts";
import { type OpenSocket, openSocket, whyHungUp } from "./socket.ts";

/** How long a server may take to answer a small command. */
const REPLY_TIMEOUT_MS = 10_000;

/** No line that is read here is longer; error replies stay far below. */
const LINE_BYTES = 16 * 1024;

export interface LinkOptions {
  /** Two slabs of this size stand between a plain socket and its reader. */
  slabBytes: number;
  /** For the greeting and for `ask`; 10 s where absent. */
  replyTimeoutMs?: number;
}

/**
 * A raw connection for bulk, read by pulling: the socket is paused while nobody pulls. Once the signal is aborted, every
 * call rejects with its reason and the socket is gone. Whoever opened it must close it.
 */
export class Link {
  readonly #address: Address;
  readonly #signal: AbortSignal;
  readonly #inbox: Inbox;
  readonly #replyTimeoutMs: number;
  #open: OpenSocket | undefined;
  /** What was read with a line but lies behind it. */
  #rest: Uint8Array | undefined;
  #ended = false;
  #hasFailed = false;
  #wake: () => void = () => undefined;

  private constructor(address: Address, signal: AbortSignal, { slabBytes, replyTimeoutMs }: LinkOptions) {
    this.#address = address;
    this.#signal = signal;
    this.#inbox = new Inbox(slabBytes);
    this.#replyTimeoutMs = replyTimeoutMs ?? REPLY_TIMEOUT_MS;
  }

  /** Connects and logs in. The password is sent only to something that has answered in Valkey's protocol. */
  static async open(address: Address, signal: AbortSignal, options: LinkOptions): Promise<Link> {
    const link = new Link(address, signal, options);
    try {
      await link.#connect();
      await link.#greet();
      if (address.password !== undefined) await link.ask("AUTH", address.user, address.password);
      return link;
    } catch (error) {
      link.close();
      throw error;
    }
  }

  /**
   * The next bytes, valid until the next read; `undefined` once the other side has ended. UNAVAILABLE: the link broke,
   * or nothing came for `silenceMs`. Where nothing has been read yet, it lets `gatherMs` pass first: what comes meanwhile piles up
   * with the kernel, and is read at once.
   */
  async read(silenceMs: number, gatherMs = 0): Promise<Uint8Array | undefined> {
    if (gatherMs > 0 && !this.#hasSomething) await this.#gather(gatherMs);
    for (;;) {
      this.#signal.throwIfAborted();
      const chunk = this.#take();
      if (chunk !== undefined) return chunk;
      const failure = this.#open?.failure();
      if (failure !== undefined) throw brokenLink(this.#address, failure);
      if (this.#ended) return undefined;
      await this.#somethingNew(silenceMs);
    }
  }

  /** Takes back the end of what was read last: the next read answers it. */
  unread(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#rest = bytes;
  }

  /** One line without its end, `\n` or `\r\n`. UNAVAILABLE: the link ended before the line did. */
  async readLine(silenceMs: number): Promise<string> {
    let line = "";
    while (line.length < LINE_BYTES) {
      const chunk = await this.read(silenceMs);
      if (chunk === undefined) throw brokenLink(this.#address, new Error("it hung up"));
      const end = chunk.indexOf(0x0a);
      line += Buffer.from(chunk.subarray(0, end === -1 ? chunk.length : end)).toString("latin1");
      if (end === -1) continue;
      this.#rest = end + 1 < chunk.length ? chunk.subarray(end + 1) : undefined;
      return line.endsWith("\r") ? line.slice(0, -1) : line;
    }
    throw brokenLink(this.#address, new Error(`a line is longer than ${LINE_BYTES} bytes`));
  }

  /** Sends one small command whose reply is one line, and answers that. Throws an error reply as what it means. */
  async ask(...words: string[]): Promise<string> {
    await this.write(command(words));
    const line = await this.readLine(this.#replyTimeoutMs);
    if (line.startsWith("-")) throw replyFailure(this.#address, words[0] ?? "", line.slice(1));
    return line;
  }

  /** Resolves once the kernel has the bytes; they must not change until then. */
  write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#open?.socket.write(bytes, (error) => {
        if (!error) return resolve();
        this.#hasFailed = true;
        if (this.#signal.aborted) return reject(this.#signal.reason);
        reject(brokenLink(this.#address, this.#open?.failure() ?? error));
      });
    });
  }

  /** Whether nothing more can be sent; what had come before that can still be read. */
  get isBroken(): boolean {
    return this.#ended || this.#hasFailed;
  }

  /** May be called again. */
  close(): void {
    this.#signal.removeEventListener("abort", this.#abort);
    this.#open?.socket.destroy();
    this.#end();
  }

  async #connect(): Promise<void> {
    const inbox = this.#inbox;
    const take = (length: number): boolean => {
      const more = inbox.filled(length);
      this.#wake();
      return more;
    };
    this.#open = await openSocket(this.#address, this.#signal, { buffer: () => inbox.room(), callback: take });
    const { socket } = this.#open;
    this.#signal.addEventListener("abort", this.#abort, { once: true });
    socket.on("end", this.#end).on("close", this.#end);
    // TLS ignores the pauses of onread; a Readable that nobody reads pauses by itself.
    if (this.#address.tls) socket.on("readable", () => this.#wake());
  }

  /** The first PING: anything that answers with `+` or `-` speaks the protocol. */
  async #greet(): Promise<void> {
    let answer: Uint8Array | undefined;
    let why = "it hung up";
    try {
      await this.write(command(["PING"]));
      answer = await this.read(this.#replyTimeoutMs);
    } catch (error) {
      this.#signal.throwIfAborted();
      if (!this.#ended) throw nobodyAnswers(this.#address, "it takes the connection and stays silent", error);
      why = error instanceof Error ? error.message : why;
    }
    if (answer === undefined) throw await whyHungUp(this.#address, this.#signal, why);
    if (answer[0] !== 0x2b && answer[0] !== 0x2d) throw notValkey(this.#address);
    this.#rest = answer;
    const line = await this.readLine(this.#replyTimeoutMs);
    const refusal = line.startsWith("-") ? line.slice(1) : undefined;
    if (refusal !== undefined && !isGreeting(refusal, this.#address))
      throw replyFailure(this.#address, "PING", refusal);
  }

  #take(): Uint8Array | undefined {
    const { socket } = this.#open ?? {};
    if (this.#rest !== undefined) {
      const rest = this.#rest;
      this.#rest = undefined;
      return rest;
    }
    if (this.#address.tls) return (socket?.read() as Buffer | null) ?? undefined;
    const chunk = this.#inbox.take();
    // Does nothing to a socket that is reading already.
    if (this.#inbox.hasRoom()) socket?.resume();
    return chunk;
  }

  get #hasSomething(): boolean {
    return this.#rest !== undefined || this.#inbox.isFilled;
  }

  async #gather(ms: number): Promise<void> {
    const socket = this.#address.tls ? undefined : this.#open?.socket;
    socket?.pause();
    await this.#settled(ms, () => this.#ended);
    socket?.resume();
  }

  async #somethingNew(silenceMs: number): Promise<void> {
    if (await this.#settled(silenceMs, () => true)) return;
    throw brokenLink(this.#address, new Error(`nothing came for ${silenceMs / 1000} s`));
  }

  /** Waits for news that make it so. Answers false if the time is over before. */
  async #settled(timeoutMs: number, isSo: () => boolean): Promise<boolean> {
    const inTime = await new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => resolve(false), timeoutMs);
      this.#wake = () => {
        if (!isSo() && !this.#signal.aborted) return;
        clearTimeout(timer);
        resolve(true);
      };
    });
    this.#wake = () => undefined;
    return inTime;
  }

  readonly #end = (): void => {
    this.#ended = true;
    this.#wake();
  };

  readonly #abort = (): void => {
    this.#open?.socket.destroy();
    this.#wake();
  };
}
