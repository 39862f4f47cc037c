import type { ReplyHandler } from "./reply-parser.ts";

/** A command, or a transaction of several, whose replies are awaited. Throws what is no reply to it. */
export abstract class Expected implements ReplyHandler {
  /** Everything has come. */
  isDone = false;
  /** What we had asked, for errors: a command's name without arguments. */
  abstract readonly command: string;

  status(): void {}
  error(text: string): void {
    throw new ErrorReply(this.command, text);
  }
  integer(_text: string): void {
    this.garbage();
  }
  array(_length: number): void {
    this.garbage();
  }
  bulk(_length: number): void {
    this.garbage();
  }
  bytes(_chunk: Uint8Array, _from: number, _to: number): void {}
  bulkEnd(): void {}
  garbage(): void {
    throw new ErrorReply(this.command, "something else than it should");
  }
}

/** A reply that is an error, before anybody has said what it means. */
export class ErrorReply extends Error {
  readonly command: string;
  readonly text: string;

  constructor(command: string, text: string) {
    super(`${command}: ${text}`);
    this.command = command;
    this.text = text;
  }
}

/** Replies in the order in which they were asked for, each handed to whoever expects it. */
export class Expectations implements ReplyHandler {
  readonly #queue: Expected[] = [];
  readonly #nobody: Expected;
  #current: Expected;

  constructor(nobody: Expected) {
    this.#nobody = nobody;
    this.#current = nobody;
  }

  get isEmpty(): boolean {
    return this.#current === this.#nobody;
  }

  add(expected: Expected): void {
    if (this.isEmpty) this.#current = expected;
    else this.#queue.push(expected);
  }

  status(): void {
    this.#current.status();
    this.#next();
  }
  error(text: string): void {
    this.#current.error(text);
    this.#next();
  }
  integer(text: string): void {
    this.#current.integer(text);
    this.#next();
  }
  array(length: number): void {
    this.#current.array(length);
    this.#next();
  }
  bulk(length: number): void {
    this.#current.bulk(length);
    this.#next();
  }
  bytes(chunk: Uint8Array, from: number, to: number): void {
    this.#current.bytes(chunk, from, to);
  }
  bulkEnd(): void {
    this.#current.bulkEnd();
    this.#next();
  }
  garbage(): void {
    this.#current.garbage();
  }

  #next(): void {
    if (this.#current.isDone) this.#current = this.#queue.shift() ?? this.#nobody;
  }
}
