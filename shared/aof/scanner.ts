import { limits } from "../rdb/limits.ts";
import { type AofCommand, commandOf, twoWords } from "./command.ts";
import { lookUp } from "./command-table.ts";
import { damaged } from "./damage.ts";

/** Who is told what passes by. Offsets are bytes from the start of the file. */
export interface AofVisitor {
  /**
   * What command this is: its name has passed, and its second word where `twoWords` asks for it. It began at `start` and has so
   * many words.
   */
  command(command: AofCommand, second: string, start: number, wordCount: number): void;
  /** The command is whole, and ends before `offset`. `largestBytes`: of its arguments. */
  end(offset: number, largestBytes: number): void;
  /** A whole line of a remark such as `#TS:1700000000`, without its `#`. */
  annotation(text: string, offset: number): void;
}

/** What comes next. */
const expect = {
  command: 0,
  count: 1,
  countEnd: 2,
  bulk: 3,
  length: 4,
  lengthEnd: 5,
  data: 6,
  dataEnd: 7,
  lineEnd: 8,
  annotation: 9,
} as const;

/** Longer names are no command's. */
const nameBytes = 64;

/** As many arguments as a server counts (aof.c reads an int). */
const highestCount = 2 ** 31 - 1;

/** The longest remark, as `AOF_ANNOTATION_LINE_MAX_LEN` (aof.c, 7.0). */
const annotationBytes = 1024;

const [carriageReturn, lineFeed] = [0x0d, 0x0a];

/**
 * Walks through the commands of an AOF, arrays of bulks, chunk by chunk. It can stop at any byte, and keeps nothing of an
 * argument but a command's first words. Throws DATA_LOSS at the first byte that the form does not allow. A hot loop: state in
 * locals, plain and ugly because most commands are a few dozen bytes.
 */
export class AofScanner {
  readonly #visitor: AofVisitor;
  #offset: number;
  #state: number = expect.command;
  #start: number;
  /** The number that is being read, and how many digits of it there were. */
  #number = 0;
  #digits = 0;
  /** Arguments still to come, and which one is next. */
  #left = 0;
  #index = 0;
  /** Bytes of the argument still to come. */
  #dataLeft = 0;
  #largest = 0;
  /** The first words, or the remark, as far as they have come over a chunk's border. */
  #word = new Uint8Array(annotationBytes);
  #wordBytes = 0;
  #name = "";

  /** Begins at a command's border: a file's start, or `offset`. */
  constructor(visitor: AofVisitor, offset = 0) {
    this.#visitor = visitor;
    this.#offset = offset;
    this.#start = offset;
  }

  /** Bytes seen so far, with those before the start. */
  get offset(): number {
    return this.#offset;
  }

  /** Where the command or remark began that is passing, or was the last to pass. */
  get start(): number {
    return this.#start;
  }

  /** Whether all that was begun is complete. */
  get isAtBorder(): boolean {
    return this.#state === expect.command;
  }

  /** The bytes may be reused after the call. */
  write(chunk: Uint8Array): void {
    const base = this.#offset;
    const end = chunk.length;
    let state = this.#state;
    let at = 0;
    while (at < end) {
      const byte = chunk[at] as number;
      switch (state) {
        case expect.command:
          this.#start = base + at;
          state = this.#begin(byte, base + at);
          at++;
          break;
        case expect.count:
        case expect.length:
          if (byte >= 0x30 && byte <= 0x39) {
            this.#number = this.#number * 10 + byte - 0x30;
            if (++this.#digits > 13) throw damaged("a number has too many digits", base + at);
          } else if (byte === carriageReturn && this.#digits > 0) state++;
          else throw damaged("expected a number and the end of its line", base + at);
          at++;
          break;
        case expect.countEnd:
          if (byte !== lineFeed) throw damaged("expected the end of a line", base + at);
          if (this.#number === 0 || this.#number > highestCount)
            throw damaged(`a command of ${this.#number} arguments`, this.#start);
          this.#left = this.#number;
          this.#index = 0;
          this.#largest = 0;
          state = expect.bulk;
          at++;
          break;
        case expect.bulk:
          if (byte !== 0x24) throw damaged("expected the length of an argument", base + at);
          this.#number = 0;
          this.#digits = 0;
          state = expect.length;
          at++;
          break;
        case expect.lengthEnd:
          if (byte !== lineFeed) throw damaged("expected the end of a line", base + at);
          if (this.#number > limits.length) throw damaged(`an argument of ${this.#number} bytes`, base + at);
          this.#dataLeft = this.#number;
          if (this.#number > this.#largest) this.#largest = this.#number;
          this.#wordBytes = 0;
          state = expect.data;
          at++;
          // An argument without bytes is complete before its next one has come.
          if (this.#dataLeft > 0) break;
          if (this.#index < 2) this.#pass(chunk, at, 0);
          state = expect.dataEnd;
          break;
        case expect.data: {
          const bytes = Math.min(this.#dataLeft, end - at);
          if (this.#index < 2) this.#pass(chunk, at, bytes);
          else this.#dataLeft -= bytes;
          at += bytes;
          if (this.#dataLeft === 0) state = expect.dataEnd;
          break;
        }
        case expect.dataEnd:
          if (byte !== carriageReturn) throw damaged("an argument is not as long as it says", base + at);
          state = expect.lineEnd;
          at++;
          break;
        case expect.lineEnd:
          if (byte !== lineFeed) throw damaged("an argument is not as long as it says", base + at);
          at++;
          this.#index++;
          if (--this.#left > 0) state = expect.bulk;
          else {
            state = expect.command;
            this.#visitor.end(base + at, this.#largest);
          }
          break;
        default:
          at = this.#passAnnotation(chunk, at, base);
          if (chunk[at - 1] === lineFeed) state = expect.command;
      }
    }
    this.#state = state;
    this.#offset = base + end;
  }

  #begin(byte: number, offset: number): number {
    this.#number = 0;
    this.#digits = 0;
    this.#wordBytes = 0;
    if (byte === 0x2a) return expect.count;
    if (byte === 0x23) return expect.annotation;
    throw damaged(`expected a command, which begins with *, and found byte ${byte}`, offset);
  }

  /** Bytes of one of the first two arguments; once it is complete it may say which command this is. */
  #pass(chunk: Uint8Array, at: number, bytes: number): void {
    const isWhole = bytes === this.#dataLeft;
    this.#dataLeft -= bytes;
    if (this.#index === 1 && this.#name === "") return;
    if (this.#wordBytes === 0 && isWhole) {
      this.#tell(chunk, at, bytes);
      return;
    }
    const kept = Math.max(0, Math.min(bytes, nameBytes + 1 - this.#wordBytes));
    this.#word.set(chunk.subarray(at, at + kept), this.#wordBytes);
    this.#wordBytes += kept;
    if (isWhole) this.#tell(this.#word, 0, this.#wordBytes);
  }

  #tell(bytes: Uint8Array, at: number, length: number): void {
    if (this.#index === 0) {
      const found = lookUp(bytes, at, length);
      this.#name = "";
      if (found !== undefined) {
        this.#visitor.command(found, "", this.#start, this.#left);
        return;
      }
    }
    const word = Buffer.from(bytes.buffer, bytes.byteOffset + at, Math.min(length, nameBytes + 1)).toString("latin1");
    if (this.#index === 0 && this.#left > 1 && twoWords.has(word.toUpperCase())) {
      this.#name = word;
      return;
    }
    const command = this.#index === 0 ? commandOf(word) : commandOf(this.#name, word);
    this.#name = "";
    this.#visitor.command(command, word, this.#start, this.#left + this.#index);
  }

  /** Answers where the remark or the chunk ends. */
  #passAnnotation(chunk: Uint8Array, at: number, base: number): number {
    const found = chunk.indexOf(lineFeed, at);
    const end = found === -1 ? chunk.length : found;
    if (this.#wordBytes + end - at >= annotationBytes)
      throw damaged(`a remark is longer than ${annotationBytes} bytes`, this.#start);
    this.#word.set(chunk.subarray(at, end), this.#wordBytes);
    this.#wordBytes += end - at;
    if (found === -1) return end;
    const text = Buffer.from(this.#word.subarray(0, this.#wordBytes)).toString("latin1");
    this.#visitor.annotation(text.replace(/\r$/, ""), base + end + 1);
    return end + 1;
  }
}
