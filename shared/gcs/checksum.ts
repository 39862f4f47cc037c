import { crc32c } from "@node-rs/crc32";

/** A CRC32C that grows with every chunk. The native one: the storage library's own runs at 85 MB/s. */
export interface Checksum {
  add(chunk: Uint8Array): void;
  /** Base64, big-endian, as Cloud Storage writes it. */
  value(): string;
}

/** The CRC32C of nothing yet. */
export function createChecksum(): Checksum {
  let crc = 0;
  return {
    add(chunk) {
      crc = crc32c(chunk, crc);
    },
    value() {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32BE(crc);
      return bytes.toString("base64");
    },
  };
}
