/** A place between two records: another reader may begin there, or end there. */
export type Border = {
  /** Where a record ends and the next one, or what selects its database, begins. */
  readonly offset: number;
  /** The database that is selected there. */
  readonly database: number;
  /** Keys that were read before it, and how many of them have an expiry. */
  readonly keys: number;
  readonly expires: number;
  /** The running CRC64 of all bytes of the file before it, 16 hex digits. */
  readonly crc64: string;
};

/** Where a file can be cut, and what all of it sums up to; the same for the same bytes, however they arrive. */
export type RdbIndex = {
  /** How far apart borders were noted. */
  readonly borderBytes: number;
  readonly sizeBytes: number;
  /** The running CRC64 of all bytes before the footer's checksum, 16 hex digits; even where the footer holds none. */
  readonly crc64: string;
  readonly borders: readonly Border[];
};

/** How far apart borders are noted: the first one at or behind each multiple of this, 64 MiB. */
export const borderBytes = 64 * 2 ** 20;
