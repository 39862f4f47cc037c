import { reflectedPolynomial, sliceCount, sliceTables } from "./crc64-table.ts";
import { assemble, code, type Func, type Local, local } from "./wasm-assembler.ts";

/** The few names of the WebAssembly JavaScript interface used here; the `lib` of this project does not bring them. */
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object) => { exports: unknown };
};

/** A block is cut into so many streams of so many bytes: few enough that tables and block share the first-level cache. */
const streamCount = 4;
const streamBytes = 4096;
const blockBytes = streamCount * streamBytes;

/** Bytes that are copied into the module's memory at once: the CRC reads them from the cache. */
const inputBytes = 65536;

/** Room in the module's memory for what is read there, and summed where it stands: all of it, and parts of it again. */
const windowBytes = 65536;

const stateAddress = 0;
const tableAddress = 64;
const tableBytes = 256 * 8;
const inputAddress = tableAddress + sliceCount * tableBytes;
const windowAddress = inputAddress + inputBytes;
const pageBytes = 65536;

/** What the last word may read behind what it sums. */
const overreadBytes = 8;

type Exports = {
  readonly memory: { readonly buffer: ArrayBuffer };
  /** Goes over [at, end) from the state and to the state. */
  readonly run: (at: number, end: number) => void;
  /** Goes over the streams of the block at `at`, side by side, and joins them. */
  readonly block: (at: number) => void;
};

/** CRC64 in WebAssembly. */
export type WasmCrc64 = {
  /** Low and high half of the value: set before `update`, and read after it. */
  readonly state: Int32Array & { 0: number; 1: number };
  /** What stands here is summed without being copied. */
  readonly window: Uint8Array;
  /** Takes the state over the bytes between the two places. */
  update(bytes: Uint8Array, from: number, to: number): void;
};

let shared: WasmCrc64 | undefined;

/** The one instance. Its memory is scratch space that is used only within a synchronous call, so everyone may share it. */
export function wasmCrc64(): WasmCrc64 {
  shared ??= instantiate();
  return shared;
}

function instantiate(): WasmCrc64 {
  const pages = Math.ceil((windowAddress + windowBytes + overreadBytes) / pageBytes);
  const module = new WebAssembly.Module(assemble({ pages, functions: { run: runFunction(), block: blockFunction() } }));
  const { memory, run, block } = new WebAssembly.Instance(module).exports as Exports;
  const words = new Int32Array(memory.buffer);
  for (let n = 0; n < sliceCount * 256; n++) {
    words[tableAddress / 4 + 2 * n] = sliceTables.low[n] as number;
    words[tableAddress / 4 + 2 * n + 1] = sliceTables.high[n] as number;
  }
  const input = new Uint8Array(memory.buffer, inputAddress, inputBytes);
  const window = new Uint8Array(memory.buffer, windowAddress, windowBytes);
  const sum = (from: number, end: number): void => {
    let at = from;
    for (; at + blockBytes <= end; at += blockBytes) block(at);
    if (at < end) run(at, end);
  };
  return {
    state: words as WasmCrc64["state"],
    window,
    update(bytes, from, to) {
      if (bytes === window) sum(windowAddress + from, windowAddress + to);
      else {
        for (let at = from; at < to; at += inputBytes) {
          const length = Math.min(inputBytes, to - at);
          input.set(at === 0 && length === bytes.length ? bytes : bytes.subarray(at, at + length));
          sum(inputAddress, inputAddress + length);
        }
      }
    },
  };
}

/**
 * `state = slice(state ^ 8 bytes)` as long as there are so many. Of those that are left, up to seven, a word is made that begins with
 * zeros, which look up nothing.
 */
function runFunction(): Func {
  const at = local(0, "i32");
  const end = local(1, "i32");
  const wholeEnd = local(2, "i32");
  const crc = local(3, "i64");
  const word = local(4, "i64");
  const leftBits = local(5, "i64");
  const wholeBytes = code.and32(code.subtract32(end.get, at.get), code.constant32(-8));
  return {
    parameters: [at, end],
    locals: [wholeEnd, crc, word, leftBits],
    body: [
      crc.set(code.load64(code.constant32(0), stateAddress)),
      wholeEnd.set(code.add32(at.get, wholeBytes)),
      code.onlyIf(
        code.lessThan32(at.get, wholeEnd.get),
        code.loop(
          word.set(code.xor64(crc.get, code.load64(at.get, 0))),
          crc.set(slice(word.get)),
          at.set(code.add32(at.get, code.constant32(8))),
          code.againIf(code.lessThan32(at.get, wholeEnd.get)),
        ),
      ),
      code.onlyIf(
        code.lessThan32(at.get, end.get),
        leftBits.set(code.shiftLeft64(code.extend(code.subtract32(end.get, at.get)), 3)),
        word.set(code.xor64(crc.get, code.load64(at.get, 0))),
        word.set(code.shiftLeft64(word.get, code.subtract64(code.constant64(64n), leftBits.get))),
        crc.set(code.xor64(code.shiftRight64(crc.get, leftBits.get), slice(word.get))),
      ),
      code.store64(code.constant32(0), stateAddress, crc.get),
    ],
  };
}

/**
 * Several chains side by side hide the latency of the lookups. The CRC of a whole is the CRC of what stands before,
 * moved over the length of what follows (a product of polynomials), xor the CRC of what follows.
 */
function blockFunction(): Func {
  const at = local(0, "i32");
  const end = local(1, "i32");
  const factor = local(2, "i64");
  const sum = local(3, "i64");
  const streams = Array.from({ length: streamCount }, (_, i) => ({
    crc: local(4 + 2 * i, "i64"),
    word: local(5 + 2 * i, "i64"),
    offset: i * streamBytes,
  }));
  return {
    parameters: [at],
    locals: [end, factor, sum, ...streams.flatMap(({ crc, word }) => [crc, word])],
    body: [
      streams[0]?.crc.set(code.load64(code.constant32(0), stateAddress)) ?? [],
      end.set(code.add32(at.get, code.constant32(streamBytes))),
      code.loop(
        ...streams.map(({ crc, word, offset }) => word.set(code.xor64(crc.get, code.load64(at.get, offset)))),
        ...streams.map(({ crc, word }) => crc.set(slice(word.get))),
        at.set(code.add32(at.get, code.constant32(8))),
        code.againIf(code.lessThan32(at.get, end.get)),
      ),
      ...streams.flatMap(({ crc }) => [...multiply(sum, factor, crc), sum.set(crc.get)]),
      code.store64(code.constant32(0), stateAddress, sum.get),
    ],
  };
}

/**
 * `target ^= sum × x^(8 × streamBytes)`, bit by bit, using up `sum`. The highest bit is the coefficient of x^0, as
 * everything is reflected.
 */
function multiply(sum: Local, factor: Local, target: Local): number[][] {
  const lowestBitEverywhere = code.shiftRightSigned64(code.shiftLeft64(factor.get, 63), 63);
  const reduction = code.and64(code.constant64(reflectedPolynomial), lowestBitEverywhere);
  return [
    factor.set(code.constant64(powerOfX(8 * streamBytes))),
    code.loop(
      target.set(code.xor64(target.get, code.and64(factor.get, code.shiftRightSigned64(sum.get, 63)))),
      factor.set(code.xor64(code.shiftRight64(factor.get, 1), reduction)),
      sum.set(code.shiftLeft64(sum.get, 1)),
      code.againIf(code.notZero64(sum.get)),
    ),
  ];
}

/**
 * The xor of eight lookups: the first byte of the word has seven bytes behind it, so it is looked up in table 7. In pairs, as the
 * processor can do several at once then.
 */
function slice(word: number[], from = 0, count = 8): number[] {
  if (count === 1) return entryOf(word, from, 7 - from);
  const half = count / 2;
  return code.xor64(slice(word, from, half), slice(word, from + half, half));
}

/** Looks a byte of the word up in a table, whose address is the load's constant offset: the byte times 8, the size of an entry. */
function entryOf(word: number[], byte: number, table: number): number[] {
  const shifted = byte === 0 ? code.shiftLeft64(word, 3) : code.shiftRight64(word, 8 * byte - 3);
  return code.load64(code.and32(code.wrap(shifted), code.constant32(0x7f8)), tableAddress + table * tableBytes);
}

/** x^n modulo the polynomial, reflected. */
function powerOfX(n: number): bigint {
  let power = 1n << 63n;
  for (let i = 0; i < n; i++) power = (power >> 1n) ^ ((power & 1n) === 1n ? reflectedPolynomial : 0n);
  return power;
}
