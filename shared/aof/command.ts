/** What a command of an AOF is to a restore. */
export interface AofCommand {
  /** As the server calls it: `SET`, `XGROUP|CREATE`. Of one that is refused maybe only what can be shown of it. */
  name: string;
  /** `WRITE`: changes data and nothing else. `REFUSED`: anything that no server's AOF holds, or that reaches further than data. */
  effect: "WRITE" | "SELECT" | "MULTI" | "EXEC" | "REFUSED";
  /** With so many words or more it may say when a key expires. */
  expiresFrom?: number;
}

/**
 * The commands that servers write into an AOF: `COMMAND LIST FILTERBY ACLCAT write` of Redis 7.0 and Valkey 8.0 to 9.1, less
 * those that reach another server (MIGRATE), a cluster's slots or the inside (PFDEBUG, RESTORE-ASKING). Scripts are written
 * as their effects since Redis 7.0 (aof.c, scripting.c), so EVAL and FCALL are not among them.
 */
const writes = [
  "APPEND BITFIELD BITOP BLMOVE BLMPOP BLPOP BRPOP BRPOPLPUSH BZMPOP BZPOPMAX BZPOPMIN COPY DECR DECRBY DEL DELIFEQ",
  "EXPIRE EXPIREAT FLUSHALL FLUSHDB FUNCTION|DELETE FUNCTION|FLUSH FUNCTION|LOAD FUNCTION|RESTORE GEOADD GEORADIUS",
  "GEORADIUSBYMEMBER GEOSEARCHSTORE GETDEL GETEX GETSET HDEL HEXPIRE HEXPIREAT HGETDEL HGETEX HINCRBY HINCRBYFLOAT",
  "HMSET HPERSIST HPEXPIRE HPEXPIREAT HSET HSETEX HSETNX INCR INCRBY INCRBYFLOAT LINSERT LMOVE LMPOP LPOP LPUSH LPUSHX",
  "LREM LSET LTRIM MOVE MSET MSETEX MSETNX PERSIST PEXPIRE PEXPIREAT PFADD PFMERGE PSETEX RENAME RENAMENX RESTORE RPOP",
  "RPOPLPUSH RPUSH RPUSHX SADD SDIFFSTORE SET SETBIT SETEX SETNX SETRANGE SINTERSTORE SMOVE SORT SPOP SREM SUNIONSTORE",
  "SWAPDB UNLINK XACK XADD XAUTOCLAIM XCLAIM XDEL XGROUP|CREATE XGROUP|CREATECONSUMER XGROUP|DELCONSUMER XGROUP|DESTROY",
  "XGROUP|SETID XREADGROUP XSETID XTRIM ZADD ZDIFFSTORE ZINCRBY ZINTERSTORE ZMPOP ZPOPMAX ZPOPMIN ZRANGESTORE ZREM",
  "ZREMRANGEBYLEX ZREMRANGEBYRANK ZREMRANGEBYSCORE ZUNIONSTORE",
].flatMap((line) => line.split(" "));

/** `SET key value PXAT time` has five words; a server writes the relative forms, which are here all the same, as absolute ones. */
const expiring: Record<string, number> = {
  ...{ SET: 5, MSETEX: 5, SETEX: 4, PSETEX: 4, GETEX: 4, RESTORE: 4, HSETEX: 4, HGETEX: 4 },
  ...{ EXPIRE: 3, EXPIREAT: 3, PEXPIRE: 3, PEXPIREAT: 3, HEXPIRE: 3, HEXPIREAT: 3, HPEXPIRE: 3, HPEXPIREAT: 3 },
};

const known = new Map<string, AofCommand>([
  ...writes.map((name): [string, AofCommand] => {
    const expiresFrom = expiring[name];
    return [name, { name, effect: "WRITE", ...(expiresFrom !== undefined && { expiresFrom }) }];
  }),
  ...(["SELECT", "MULTI", "EXEC"] as const).map((name): [string, AofCommand] => [name, { name, effect: name }]),
]);

/** Commands whose second word counts: the number of a database, or what of a family is meant. */
export const twoWords: ReadonlySet<string> = new Set(["SELECT", "FUNCTION", "XGROUP"]);

/** The command of this name, in any case; `second`: its second word, of those in `twoWords`. */
export function commandOf(name: string, second?: string): AofCommand {
  const upper = name.toUpperCase();
  const full = second !== undefined && upper !== "SELECT" ? `${upper}|${second.toUpperCase()}` : upper;
  return known.get(full) ?? { name: shown(full), effect: "REFUSED" };
}

/** The names that need no second word, for a table that is made once. */
export const oneWordCommands: readonly AofCommand[] = [...known.values()].filter(
  ({ name }) => !name.includes("|") && !twoWords.has(name),
);

/** A name from a hostile file may be anything. */
const shown = (name: string): string =>
  /^[A-Z][A-Z0-9._|-]{0,40}$/.test(name) ? name : "a command without a proper name";
