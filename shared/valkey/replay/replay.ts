import { batches, type Piece } from "../../aof/batches.ts";
import { StatusError } from "../../error.ts";
import type { ReplayLog, ReplayMark, ReplayOptions } from "../../pipeline/ports.ts";
import type { Address } from "../address.ts";
import { withClient } from "../connect.ts";
import { configured } from "../describe.ts";
import { replyFailure } from "../failure.ts";
import { command } from "../resp.ts";
import type { BatchError } from "./batch-replies.ts";
import { encodeMark, markKey, replayMark } from "./mark.ts";
import { ReplayPipe } from "./pipe.ts";
import { withReplayLink } from "./replay-link.ts";

/** How long a server may leave commands unanswered; a value of hundreds of megabytes takes it about a second. */
const defaultSilenceMs = 30_000;

/** The lowest that `client-query-buffer-limit` can be set to, and what it is where nobody has set it (config.c, 8.0). */
const leastQueryBufferBytes = 1024 * 1024;
const usualQueryBufferBytes = 1024 * 1024 * 1024;

/** What stands in a batch before the commands of the AOF: SELECT, DEL, SELECT, beside the MULTI. */
const prologueCommands = 3;

/**
 * Sends the commands of the logs over one named connection, pipelined, in batches that are transactions: each one moves the mark.
 * Whoever was at it before is cut off first, so that the mark which is read then is where to go on. Memory is bounded by a few
 * blocks, whatever an argument's size.
 */
export async function replay(
  address: Address,
  logs: readonly ReplayLog[],
  options: ReplayOptions,
  signal: AbortSignal,
  { silenceMs = defaultSilenceMs }: { silenceMs?: number } = {},
): Promise<void> {
  await withReplayLink(address, options, signal, async (link) => {
    const mark = await replayMark(address, options.operation, signal);
    if (mark === undefined) throw lostMark(address);
    // While expiry is suspended, only whoever says that it imports sees the keys whose time has passed.
    const isSource = await link.ask("CLIENT", "IMPORT-SOURCE", "ON").catch(ignoreUnknown);
    if (isSource === undefined && options.isSuspended === true) throw resumed(address);
    const pipe = new ReplayPipe(link, address, {
      failure: (error, batch) => replayFailure(address, error, batch),
      onProgress: options.onProgress,
      silenceMs,
    });
    try {
      await pipe.run(signal, (over) => sendAll(pipe, logs, mark, options.operation, over));
    } catch (error) {
      throw (await asTooLarge(error, pipe, address, signal)) ?? error;
    }
  });
}

/**
 * Servers before Valkey 8.1 do not know the command, later ones refuse it where expiry is not suspended; one that keeps it from us would
 * hide those keys.
 */
function ignoreUnknown(error: unknown): undefined {
  if (!(error instanceof StatusError) || error.code !== "UNKNOWN") throw error;
  return undefined;
}

async function sendAll(
  pipe: ReplayPipe,
  logs: readonly ReplayLog[],
  mark: ReplayMark,
  operation: string,
  signal: AbortSignal,
): Promise<void> {
  for (const [at, { startOffset, endOffset, read }] of logs.entries()) {
    const log = at + 1;
    if (log < mark.log) continue;
    // The server loads each file with a client of its own, which begins in database 0 (aof.c, loadSingleAppendOnlyFile).
    const from = log === mark.log ? mark : { offset: startOffset, database: 0 };
    if (from.offset >= endOffset) continue;
    const source = read({ start: from.offset, end: endOffset }, signal);
    for await (const pieces of batches(source, from, endOffset))
      for (const piece of pieces) await sendPiece(pipe, piece, log, operation);
  }
}

async function sendPiece(pipe: ReplayPipe, piece: Piece, log: number, operation: string): Promise<void> {
  if (piece.kind === "bytes") return await pipe.append(piece.bytes);
  const { kind, offset, database } = piece;
  const mark = { log, offset, database };
  if (kind === "open") await pipe.open(mark);
  await pipe.append(kind === "open" ? prologue(mark, operation) : epilogue(mark, operation));
  if (kind === "close") pipe.close(mark);
}

/** The mark is away while the commands are carried out: none of them, a SWAPDB or a FLUSHALL, can move or take it. */
const prologue = ({ database }: ReplayMark, operation: string): Uint8Array =>
  Buffer.concat([["MULTI"], ["SELECT", "0"], ["DEL", markKey(operation)], ["SELECT", `${database}`]].map(command));

const epilogue = (mark: ReplayMark, operation: string): Uint8Array =>
  Buffer.concat([["SELECT", "0"], ["SET", markKey(operation), encodeMark(mark)], ["EXEC"]].map(command));

/** An error reply, as an operator's error. Names no key and shows nothing of a command but where it stands. */
function replayFailure(
  address: Address,
  { index, isCarriedOut, text }: BatchError,
  { log, offset }: ReplayMark,
): StatusError {
  const { endpoint } = address;
  const code = /^[A-Z]+/.exec(text)?.[0] ?? "ERR";
  const at = Math.max(0, index - prologueCommands - (isCarriedOut ? 0 : 1)) + 1;
  const where = `command ${at} behind byte ${offset} of log ${log}`;
  if (!isCarriedOut && !/^(ERR|EXECABORT|OOM) /.test(text)) return replyFailure(address, where, text);
  if (code === "OOM")
    return new StatusError(
      "FAILED_PRECONDITION",
      `${endpoint} ran out of memory at ${where}: raise maxmemory, empty it and restore again`,
    );
  if (/^ERR unknown (sub)?command/.test(text))
    return new StatusError("FAILED_PRECONDITION", `${endpoint} does not know ${where}: restore into a newer server`);
  const reason = `${endpoint} answered ${code} to ${where}, which the source had carried out: empty it and restore again`;
  return new StatusError("DATA_LOSS", reason, { offset });
}

/**
 * A server hangs up, without a word, on whoever sends more of a transaction than it holds for a client (networking.c, 8.0, handleReadResult):
 * no other attempt would fare better. Nothing where the link broke for another reason, or nobody knows.
 */
async function asTooLarge(
  error: unknown,
  { unanswered }: ReplayPipe,
  address: Address,
  signal: AbortSignal,
): Promise<StatusError | undefined> {
  if (!(error instanceof StatusError) || error.code !== "UNAVAILABLE" || unanswered === undefined) return undefined;
  const { from, bytes } = unanswered;
  if (bytes < leastQueryBufferBytes) return undefined;
  const limit = await withClient(address, signal, (ask) => configured(ask, "client-query-buffer-limit")).catch(() => 0);
  if (limit === 0 || bytes < (limit ?? usualQueryBufferBytes)) return undefined;
  const advice = "raise client-query-buffer-limit there, empty it and restore again";
  const message = `${address.endpoint} hung up within the transaction behind byte ${from.offset} of log ${from.log}, which is larger than it takes: ${advice}`;
  return new StatusError("FAILED_PRECONDITION", message, { cause: error });
}

/** A server that was started anew, or has taken over from another one, suspends nothing. */
function resumed({ endpoint }: Address): StatusError {
  const message = `${endpoint} has let keys expire that were to be kept until the replay is over, as after a restart or a failover: empty it and restore again`;
  return new StatusError("DATA_LOSS", message);
}

function lostMark({ endpoint }: Address): StatusError {
  const message = `${endpoint} has lost the mark of how far the replay had come, and maybe more: empty it and restore again`;
  return new StatusError("DATA_LOSS", message);
}
