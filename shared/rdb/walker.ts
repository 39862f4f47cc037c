import type { StatusError } from "../error.ts";
import { damaged, unsupported } from "./damage.ts";
import { type Format, firstVersionWithCrc, headerBytes } from "./header.ts";
import { Hold } from "./hold.ts";
import { instruction } from "./layout.ts";
import { bigEndianAt, lengthAt } from "./length.ts";
import { opcode, refusedOpcodes } from "./opcodes.ts";
import { entry, type Program, programs } from "./program.ts";
import { believable, sizeOfLength, sizeOfModuleItem, sizeOfString } from "./size.ts";
import { refusedTypes } from "./types.ts";

/** Who is told what passes by. Offsets are bytes from the start of the file; a `Hold` is valid within the call only. */
export type Visitor = {
  /** The file's first bytes; answers how to read on. */
  header(bytes: Uint8Array): Format;
  /** How many bytes of this opcode's operands are worth keeping; zero for none. */
  operandBytes(code: number): number;
  /** How many bytes of a key and of a value are worth keeping; zero for none. */
  readonly keyBytes: number;
  readonly valueBytes: number;
  /** An opcode has passed; `held` unless its operands were longer than asked for. */
  operands(code: number, offset: number, held: Hold | undefined): void;
  /** A key has passed, as the file holds it. */
  key(offset: number, held: Hold | undefined): void;
  /** A value has passed: its record begins at `recordOffset`, with an expiry if it has one. */
  value(type: number, recordOffset: number, start: number, end: number, held: Hold | undefined): void;
  /** The 64-bit id of a module's type, in halves. */
  moduleId(high: number, low: number, offset: number): void;
  /** The checksum at the end of the file. */
  footer(held: Hold): void;
};

/** Scores of 253, 254 and 255 stand for nan, inf and -inf; below that, the number of digits that follow. */
const firstSpecialScore = 253;

/** The longest thing that is read at once and not passed over: a module item's tag and the two lengths of an LZF string. */
const bounceBytes = 64;

/**
 * Walks through a file, chunk by chunk, by the program of its family. It can stop at any byte: lengths become a distance
 * to pass over, which may end in a later chunk, and only a length that is itself cut waits in a small bounce buffer.
 */
export class Walker {
  readonly #visitor: Visitor;
  readonly #hold = new Hold();
  #program: Program = programs.REDIS;
  #format: Format | undefined;
  /** The instruction to go on with. */
  #pc: number = entry.header;
  /** How many repeats are left, at each depth. Streams nest three deep. */
  readonly #counts = new Float64Array(4);
  #depth = 0;
  /** The byte that said what comes: an opcode or a type. */
  #byte = 0;
  #byteOffset = 0;
  #prefixOffset = -1;
  #valueOffset = 0;
  /** Offset of the chunk's first byte, and how far the walk has come: behind its end if bytes are still to be skipped. */
  #chunkOffset = 0;
  #position = 0;
  readonly #bounce = new Uint8Array(2 * bounceBytes);
  #bounced = 0;
  #endOffset = -1;
  readonly #mayBeFollowed: boolean;

  /** Begins at a file's start, or with `from` at a record's border within it. `mayBeFollowed`: what is behind the end is left. */
  constructor(visitor: Visitor, from?: { offset: number; format: Format }, mayBeFollowed = false) {
    this.#visitor = visitor;
    this.#mayBeFollowed = mayBeFollowed;
    if (from === undefined) return;
    this.#use(from.format);
    this.#chunkOffset = from.offset;
    this.#position = from.offset;
  }

  /** Bytes seen so far, with those before the start. */
  get offset(): number {
    return this.#chunkOffset;
  }

  /** Where the checksum begins, behind the opcode that ends the file; -1 until it was seen. */
  get endOffset(): number {
    return this.#endOffset;
  }

  /** Whether everything was read, down to the last byte of the footer. */
  get isAtEnd(): boolean {
    return this.#program.code[this.#pc] === instruction.nothing;
  }

  /** Whether all that was begun is complete, so that a record could begin here. */
  get isAtBorder(): boolean {
    return this.#pc === entry.next && this.#position === this.#chunkOffset && this.#prefixOffset < 0;
  }

  /** Takes the first `length` bytes of the chunk. Answers how many it took: all, but for what may follow the end. */
  write(chunk: Uint8Array, length = chunk.length): number {
    this.#hold.begin(chunk, this.#chunkOffset);
    let from = this.#position - this.#chunkOffset;
    if (this.#bounced > 0) from = this.#crossBorder(chunk, length);
    if (from >= 0 && from <= length) {
      from = this.#walk(chunk, from, length, length, this.#chunkOffset);
      if (this.isAtEnd) {
        this.#position = this.#chunkOffset + from;
        this.#chunkOffset = this.#position;
        return from;
      }
      if (from < length) {
        this.#bounce.set(chunk.subarray(from, length));
        this.#bounced = length - from;
      }
    }
    if (from >= 0) this.#position = this.#chunkOffset + from;
    this.#chunkOffset += length;
    this.#hold.carry(this.#position, length);
    return length;
  }

  /** Reads what was cut by the border. Answers where to go on in the chunk: below zero if the chunk was too short. */
  #crossBorder(chunk: Uint8Array, length: number): number {
    const bounced = this.#bounced;
    const head = chunk.subarray(0, Math.min(bounceBytes, length));
    this.#bounce.set(head, bounced);
    const at = this.#walk(this.#bounce, 0, bounced, bounced + head.length, this.#position);
    if (at > 0) {
      this.#bounced = 0;
      return at - bounced;
    }
    this.#bounced = bounced + head.length;
    return -1;
  }

  /**
   * Goes through `bytes` from `from`: an instruction may begin before `limit` and look at bytes before `end`. Answers
   * where the next one begins, which may be behind the end. A hot loop: state in locals, the shortest lengths in place.
   */
  #walk(bytes: Uint8Array, from: number, limit: number, end: number, base: number): number {
    let { code } = this.#program;
    let pc = this.#pc;
    let at = from;
    while (at <= end) {
      const operation = code[pc] as number;
      if (operation >= instruction.again) {
        pc = operation === instruction.again ? this.#again(pc, code) : this.#mark(operation, pc, base + at);
        continue;
      }
      if (at >= limit) break;
      const first = bytes[at] as number;
      let size = 0;
      switch (operation) {
        case instruction.next:
          pc = this.#enter(first, base + at);
          at++;
          continue;
        case instruction.string:
          if (first < 0x40) {
            at += 1 + first;
            pc += 2;
            continue;
          }
          size = sizeOfString(bytes, at, end, base);
          break;
        case instruction.length:
          size = sizeOfLength(first, base + at);
          break;
        case instruction.bytes:
          size = code[pc + 1] as number;
          break;
        case instruction.score:
          size = first >= firstSpecialScore ? 1 : 1 + first;
          break;
        case instruction.moduleId:
          size = this.#moduleId(bytes, at, end, base);
          break;
        case instruction.moduleItem:
          size = sizeOfModuleItem(bytes, at, end, base);
          // The item that ends all items is the only one of tag zero; any other is followed by one more.
          if (size > 0 && lengthAt(bytes, at) !== 0) pc -= 2;
          break;
        case instruction.repeat:
          size = sizeOfLength(first, base + at);
          if (at + size > end) size = 0;
          // The program goes on behind this instruction; if there is nothing to repeat, where its argument says.
          else if (!this.#push(believable(lengthAt(bytes, at), base + at))) pc = (code[pc + 1] as number) - 2;
          break;
        case instruction.header:
          if (at + headerBytes > end) break;
          size = headerBytes;
          this.#use(this.#visitor.header(bytes.subarray(at, at + headerBytes)));
          ({ code } = this.#program);
          break;
        default:
          if (this.#mayBeFollowed) break;
          throw damaged("there are bytes after the end of the file", base + at);
      }
      if (size === 0) break;
      at += size;
      pc += 2;
    }
    this.#pc = pc;
    return at;
  }

  #use(format: Format): void {
    this.#format = format;
    this.#program = programs[format.magic];
    this.#pc = entry.next;
  }

  /** What the byte says comes next. */
  #enter(byte: number, offset: number): number {
    const { entries, isType, isKeyPrefix } = this.#program;
    this.#byte = byte;
    this.#byteOffset = offset;
    if (isType[byte] === 1) {
      this.#hold.open(offset + 1, this.#visitor.keyBytes);
      return entries[byte] as number;
    }
    if (isKeyPrefix[byte] === 1) {
      if (this.#prefixOffset < 0) this.#prefixOffset = offset;
    } else if (this.#prefixOffset >= 0) {
      throw damaged(`byte ${byte} stands where a key must follow its expiry`, offset);
    }
    if (byte === opcode.end) return this.#enterFooter(offset);
    const start = entries[byte] as number;
    if (start < 0) throw this.#unknown(byte, offset);
    this.#hold.open(offset + 1, this.#visitor.operandBytes(byte));
    return start;
  }

  #enterFooter(offset: number): number {
    this.#endOffset = offset + 1;
    if ((this.#format?.rdbVersion ?? 0) < firstVersionWithCrc) return entry.end;
    this.#hold.open(offset + 1, 8);
    return entry.endWithCrc;
  }

  /** What has come to its end here. Answers the next instruction. */
  #mark(operation: number, pc: number, offset: number): number {
    const visitor = this.#visitor;
    const held = this.#hold.close(offset) ? this.#hold : undefined;
    switch (operation) {
      case instruction.keyEnd:
        visitor.key(this.#byteOffset + 1, held);
        this.#valueOffset = offset;
        this.#hold.open(offset, visitor.valueBytes);
        return pc + 2;
      case instruction.valueEnd: {
        const recordOffset = this.#prefixOffset < 0 ? this.#byteOffset : this.#prefixOffset;
        this.#prefixOffset = -1;
        visitor.value(this.#byte, recordOffset, this.#valueOffset, offset, held);
        return entry.next;
      }
      case instruction.operandsEnd:
        visitor.operands(this.#byte, this.#byteOffset + 1, held);
        return entry.next;
      default:
        if (held !== undefined) visitor.footer(held);
        return pc + 2;
    }
  }

  #again(pc: number, code: Int32Array): number {
    const top = this.#depth - 1;
    const left = (this.#counts[top] as number) - 1;
    this.#counts[top] = left;
    if (left > 0) return code[pc + 1] as number;
    this.#depth = top;
    return pc + 2;
  }

  #push(count: number): boolean {
    if (count === 0) return false;
    this.#counts[this.#depth] = count;
    this.#depth++;
    return true;
  }

  #moduleId(bytes: Uint8Array, at: number, end: number, base: number): number {
    const size = sizeOfLength(bytes[at] as number, base + at);
    if (at + size > end) return 0;
    if (size === 9) this.#visitor.moduleId(bigEndianAt(bytes, at + 1), bigEndianAt(bytes, at + 5), base + at);
    else this.#visitor.moduleId(0, lengthAt(bytes, at), base + at);
    return size;
  }

  #unknown(byte: number, offset: number): StatusError {
    const { magic, rdbVersion } = this.#format ?? { magic: "REDIS", rdbVersion: 0 };
    const reason = refusedOpcodes[magic][byte] ?? refusedTypes[byte] ?? "nothing that this reader knows";
    return unsupported(`in a ${magic} file of version ${rdbVersion} the byte ${byte} begins ${reason}`, offset);
  }
}
