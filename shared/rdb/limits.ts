/**
 * What a file may claim before it is taken for damaged or hostile. Nothing is ever allocated by a claimed length alone;
 * these bounds keep the arithmetic exact and the memory constant.
 */
export const limits = {
  /** The highest length or count: 1 TiB, more than any server's memory holds. */
  length: 2 ** 40,
  /** Bytes of a key, of a function's code, and (unless told otherwise) of a value that are kept in memory: 8 MiB. */
  heldBytes: 8 * 2 ** 20,
  /** Bytes of an AUX field that are kept; longer ones are passed over. */
  auxBytes: 256,
  /** What LZF can gain at most: 3 bytes name a run of 264 (lzf_c.c, MAX_REF). */
  lzfRatio: 88,
  /** Databases in one file; a server has 16 unless its operator wants more. */
  databases: 10_000,
  /** The highest number of a database: servers count them with an int. */
  highestDatabase: 2 ** 31 - 1,
  /** Kinds of module values in one file. */
  moduleTypes: 1_000,
} as const;
