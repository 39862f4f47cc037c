import { sliceTables } from "./crc64-table.ts";
import { wasmCrc64 } from "./crc64-wasm.ts";

/** From here on the WebAssembly CRC wins over the JavaScript one, even if the bytes must be copied into its memory. */
const wasmFromBytes = 32;

/** A running CRC64 of the Jones polynomial, as RDB files and DUMP payloads end with. */
export class Crc64 {
  #low: number;
  #high: number;

  /** Goes on from `previous`, the value over the bytes before. */
  constructor(previous = 0n) {
    this.#low = previous === 0n ? 0 : Number(BigInt.asIntN(32, previous));
    this.#high = previous === 0n ? 0 : Number(BigInt.asIntN(32, previous >> 32n));
  }

  /** Goes on from zero. */
  reset(): void {
    this.#low = 0;
    this.#high = 0;
  }

  /** Takes it over `bytes`, or those of them between the two places. */
  update(bytes: Uint8Array, from = 0, to = bytes.length): void {
    if (to - from >= wasmFromBytes) {
      const { state, update } = wasmCrc64();
      state[0] = this.#low;
      state[1] = this.#high;
      update(bytes, from, to);
      this.#low = state[0];
      this.#high = state[1];
    } else for (let at = from; at < to; at++) this.updateByte(bytes[at] as number);
  }

  /** One lookup: for the few bytes that are not worth a call into the other one. */
  updateByte(byte: number): void {
    const n = (this.#low ^ byte) & 0xff;
    this.#low = ((this.#low >>> 8) | (this.#high << 24)) ^ (sliceTables.low[n] as number);
    this.#high = (this.#high >>> 8) ^ (sliceTables.high[n] as number);
  }

  value(): bigint {
    return (BigInt(this.#high >>> 0) << 32n) | BigInt(this.#low >>> 0);
  }

  /** Writes the value as files and payloads hold it: 8 bytes, little-endian. */
  writeTo(target: Uint8Array, at: number): void {
    for (let byte = 0; byte < 4; byte++) {
      target[at + byte] = this.#low >>> (8 * byte);
      target[at + 4 + byte] = this.#high >>> (8 * byte);
    }
  }
}

/** The CRC64 of `bytes`, or of what went before (whose CRC64 is `previous`) and `bytes`. */
export function crc64(bytes: Uint8Array, previous = 0n): bigint {
  const crc = new Crc64(previous);
  crc.update(bytes);
  return crc.value();
}
