/** The magic that a file begins with. Valkey left the common format at version 80; numbers mean different things since. */
export type Magic = "REDIS" | "VALKEY";

/** The RDB versions of each family that the tables here were checked against. */
export const supportedVersions: Readonly<Record<Magic, { readonly lowest: number; readonly highest: number }>> = {
  REDIS: { lowest: 1, highest: 12 },
  VALKEY: { lowest: 80, highest: 80 },
};
