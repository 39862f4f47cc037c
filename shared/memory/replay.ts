import { batches, type ReplayPlace } from "../aof/batches.ts";
import { StatusError } from "../error.ts";
import type { ReplayLog, ReplayMark, ReplayOptions } from "../pipeline/ports.ts";
import { encodeString } from "../rdb/writer.ts";

/** The strings of one server in memory. */
export interface MemoryStrings {
  get(db: number, key: string): string | undefined;
  set(db: number, key: string, value: string): void;
  remove(db: number, key: string): void;
}

const markKey = (operation: string): string => `valkeep:replay:${operation}`;

/** Puts down the mark of a beginning. A server in memory suspends nothing: none of its keys expires by itself. */
export function beginReplay(strings: MemoryStrings, operation: string): boolean {
  if (strings.get(0, markKey(operation)) === undefined) strings.set(0, markKey(operation), "0 0 0");
  return true;
}

export function replayMark(strings: MemoryStrings, operation: string): ReplayMark | undefined {
  const text = strings.get(0, markKey(operation));
  const [log = 0, offset = 0, database = 0] = text?.split(" ").map(Number) ?? [];
  return text === undefined ? undefined : { log, offset, database };
}

export const endReplay = (strings: MemoryStrings, operation: string): void => strings.remove(0, markKey(operation));

/** Carries out SELECT, SET, APPEND, INCR and DEL, batch for batch. `isGone`: whether the connection was cut. */
export async function replay(
  strings: MemoryStrings,
  logs: readonly ReplayLog[],
  { operation, onProgress }: ReplayOptions,
  isGone: () => boolean,
  signal: AbortSignal,
): Promise<void> {
  const mark = replayMark(strings, operation);
  if (mark === undefined) throw new StatusError("DATA_LOSS", "the target has lost the mark of the replay");
  for (const [at, { startOffset, endOffset, read }] of logs.entries()) {
    if (at + 1 < mark.log) continue;
    const from = at + 1 === mark.log ? mark : { offset: startOffset, database: 0 };
    if (from.offset >= endOffset) continue;
    let bytes = "";
    let { database }: Pick<ReplayPlace, "database"> = from;
    for await (const pieces of batches(read({ start: from.offset, end: endOffset }, signal), from, endOffset))
      for (const piece of pieces) {
        if (piece.kind === "bytes") bytes += Buffer.from(piece.bytes).toString("latin1");
        if (piece.kind !== "close") continue;
        signal.throwIfAborted();
        if (isGone()) throw new StatusError("UNAVAILABLE", "the server closed the link");
        for (const words of commandsIn(bytes)) database = carryOut(strings, words, database);
        bytes = "";
        const next = { log: at + 1, offset: piece.offset, database: piece.database };
        strings.set(0, markKey(operation), `${next.log} ${next.offset} ${next.database}`);
        onProgress?.(next);
      }
  }
}

/** Small commands, their words without line ends. */
function commandsIn(text: string): string[][] {
  return text
    .split(/^\*\d+\r\n/m)
    .slice(1)
    .map((command) => command.split("\r\n").filter((_, n) => n % 2 === 1));
}

/** Answers the database that is selected afterwards. */
function carryOut(strings: MemoryStrings, [name = "", key = "", value = ""]: string[], db: number): number {
  switch (name.toUpperCase()) {
    case "SELECT":
      return Number(key);
    case "SET":
      strings.set(db, key, value);
      return db;
    case "APPEND":
      strings.set(db, key, (strings.get(db, key) ?? "") + value);
      return db;
    case "INCR":
      strings.set(db, key, `${Number(strings.get(db, key) ?? 0) + 1}`);
      return db;
    case "DEL":
      strings.remove(db, key);
      return db;
    default:
      throw new StatusError("DATA_LOSS", `a server in memory does not know ${name}`);
  }
}

/** Short strings as an RDB file holds them, and back. */
export const encodeText = (text: string): Uint8Array => Uint8Array.from(encodeString(text));
export const decodeText = (value: Uint8Array): string => Buffer.from(value.subarray(1)).toString("latin1");
