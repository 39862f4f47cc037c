/**
 * The Jones polynomial x^64 + … of CRC64 as RDB files use it, bits reflected (Valkey, src/crc64.c). The CRC starts at
 * zero and is not inverted at the end; "123456789" gives e9c6d914c4b8d9ca.
 */
export const reflectedPolynomial = 0x95ac9329ac4bc9b5n;

/** The number of tables, and so of bytes that are looked up together. */
export const sliceCount = 8;

/** Slicing-by-8 tables, table k at 256 × k, cut into 32-bit halves because JavaScript has no fast 64-bit integer. */
export type SliceTables = { readonly low: Int32Array; readonly high: Int32Array };

/** Table k, entry n: the CRC of byte n followed by k zero bytes. */
export const sliceTables: SliceTables = build();

function build(): SliceTables {
  const low = new Int32Array(sliceCount * 256);
  const high = new Int32Array(sliceCount * 256);
  const polynomialLow = Number(reflectedPolynomial & 0xffffffffn);
  const polynomialHigh = Number(reflectedPolynomial >> 32n);
  for (let n = 0; n < 256; n++) {
    let l = n;
    let h = 0;
    for (let bit = 0; bit < 8; bit++) {
      const carry = l & 1;
      l = (l >>> 1) | (h << 31);
      h >>>= 1;
      if (carry === 1) {
        l ^= polynomialLow;
        h ^= polynomialHigh;
      }
    }
    low[n] = l;
    high[n] = h;
  }
  for (let n = 256; n < sliceCount * 256; n++) {
    const l = low[n - 256] as number;
    const h = high[n - 256] as number;
    low[n] = ((l >>> 8) | (h << 24)) ^ (low[l & 0xff] as number);
    high[n] = (h >>> 8) ^ (high[l & 0xff] as number);
  }
  return { low, high };
}
