import type { LoadMark } from "../../pipeline/ports.ts";

/** What lies between two marks of a file; open as long as blocks that begin in it are not answered. */
export class Span {
  #blocks = 0;
  readonly #onEnd: () => void;

  constructor(onEnd: () => void) {
    this.#onEnd = onEnd;
  }

  get isOpen(): boolean {
    return this.#blocks > 0;
  }

  begin(): void {
    this.#blocks++;
  }

  end(): void {
    this.#blocks--;
    if (this.#blocks === 0) this.#onEnd();
  }
}

/** How often marks are told. */
const TELL_MS = 250;

/**
 * How far a file was answered by all of its receivers, whichever is behind: the youngest mark before which no block is
 * open. A block counts for the span in which it was begun, so that keys cost nothing here.
 */
export class Watermark {
  readonly #tell: (mark: LoadMark) => void;
  readonly #tellMs: number;
  /** Spans that have ended in the file, with the marks at their ends. */
  #closed: { span: Span; mark: LoadMark }[] = [];
  #current: Span;
  #toldAt = Number.NEGATIVE_INFINITY;

  /** A mark that comes sooner than `tellMs` after the last is passed over: the next one says more. */
  constructor(tell: (mark: LoadMark) => void, tellMs = TELL_MS) {
    this.#tell = tell;
    this.#tellMs = tellMs;
    this.#current = new Span(() => this.#advance());
  }

  /** Where a new block begins. */
  get span(): Span {
    return this.#current;
  }

  /** All that comes from now on lies behind the mark. */
  close(mark: LoadMark): void {
    this.#closed.push({ span: this.#current, mark });
    this.#current = new Span(() => this.#advance());
    this.#advance();
  }

  #advance(): void {
    let reached: LoadMark | undefined;
    while (this.#closed[0] !== undefined && !this.#closed[0].span.isOpen) reached = this.#closed.shift()?.mark;
    if (reached === undefined || performance.now() - this.#toldAt < this.#tellMs) return;
    this.#toldAt = performance.now();
    this.#tell(reached);
  }
}
