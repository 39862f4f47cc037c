/** Numbers that one fingerprint takes in an `Int32Array`: 128 bits. */
export const fingerprintWords = 4;

/** The key of a fingerprint: 16 bytes that nobody who chooses the names of keys can know. */
export type FingerprintKey = { readonly [word in 0 | 1 | 2 | 3]: number };

/** The key of these 16 bytes. */
export function fingerprintKey(bytes: Uint8Array): FingerprintKey {
  const view = new DataView(bytes.buffer, bytes.byteOffset, 16);
  return [view.getInt32(0, true), view.getInt32(4, true), view.getInt32(8, true), view.getInt32(12, true)];
}

/**
 * SipHash-2-4 with 128 bits (https://github.com/veorq/SipHash) of `bytes[from, to)`, put to `out[at …]`. Two different keys of
 * a keyspace meet with a chance of 2^-128 for each pair, whoever chose them, as the key is drawn for each run. A hot
 * loop: 64-bit words as halves in locals, as BigInt costs twenty times as much.
 */
export function fingerprint(
  key: FingerprintKey,
  bytes: Uint8Array,
  from: number,
  to: number,
  out: Int32Array,
  at: number,
) {
  const { 0: k0l, 1: k0h, 2: k1l, 3: k1h } = key;
  let v0l = k0l ^ 0x70736575;
  let v0h = k0h ^ 0x736f6d65;
  let v1l = k1l ^ 0x6e646f6d ^ 0xee;
  let v1h = k1h ^ 0x646f7261;
  let v2l = k0l ^ 0x6e657261;
  let v2h = k0h ^ 0x6c796765;
  let v3l = k1l ^ 0x79746573;
  let v3h = k1h ^ 0x74656462;
  const blocks = ((to - from) >> 3) + 1;
  for (let step = 0; step < blocks + 2; step++) {
    let rounds = 2;
    let ml = 0;
    let mh = 0;
    if (step < blocks) {
      const start = from + 8 * step;
      for (let n = 0; n < 4 && start + n < to; n++) ml |= (bytes[start + n] as number) << (8 * n);
      for (let n = 0; n < 4 && start + 4 + n < to; n++) mh |= (bytes[start + 4 + n] as number) << (8 * n);
      if (step === blocks - 1) mh |= (to - from) << 24;
      v3l ^= ml;
      v3h ^= mh;
    } else {
      rounds = 4;
      if (step === blocks) v2l ^= 0xee;
      else v1l ^= 0xdd;
    }
    for (; rounds > 0; rounds--) {
      let sum = (v0l >>> 0) + (v1l >>> 0);
      v0h = (v0h + v1h + (sum > 0xffffffff ? 1 : 0)) | 0;
      v0l = sum | 0;
      let high = (v1h << 13) | (v1l >>> 19);
      v1l = ((v1l << 13) | (v1h >>> 19)) ^ v0l;
      v1h = high ^ v0h;
      high = v0l;
      v0l = v0h;
      v0h = high;
      sum = (v2l >>> 0) + (v3l >>> 0);
      v2h = (v2h + v3h + (sum > 0xffffffff ? 1 : 0)) | 0;
      v2l = sum | 0;
      high = (v3h << 16) | (v3l >>> 16);
      v3l = ((v3l << 16) | (v3h >>> 16)) ^ v2l;
      v3h = high ^ v2h;
      sum = (v0l >>> 0) + (v3l >>> 0);
      v0h = (v0h + v3h + (sum > 0xffffffff ? 1 : 0)) | 0;
      v0l = sum | 0;
      high = (v3h << 21) | (v3l >>> 11);
      v3l = ((v3l << 21) | (v3h >>> 11)) ^ v0l;
      v3h = high ^ v0h;
      sum = (v2l >>> 0) + (v1l >>> 0);
      v2h = (v2h + v1h + (sum > 0xffffffff ? 1 : 0)) | 0;
      v2l = sum | 0;
      high = (v1h << 17) | (v1l >>> 15);
      v1l = ((v1l << 17) | (v1h >>> 15)) ^ v2l;
      v1h = high ^ v2h;
      high = v2l;
      v2l = v2h;
      v2h = high;
    }
    if (step < blocks) {
      v0l ^= ml;
      v0h ^= mh;
    } else {
      const half = at + 2 * (step - blocks);
      out[half] = v0l ^ v1l ^ v2l ^ v3l;
      out[half + 1] = v0h ^ v1h ^ v2h ^ v3h;
    }
  }
}
