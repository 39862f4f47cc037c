import type { RdbStream } from "../../rdb/rdb-stream.ts";
import { pause } from "../pause.ts";
import type { Checkpoints } from "./checkpoints.ts";
import { dumpCommands } from "./commands.ts";
import { DumpReplies } from "./dump-replies.ts";
import type { KeyBatch } from "./key-batch.ts";
import type { Pace } from "./pace.ts";
import type { Position } from "./position.ts";
import type { ScanReply } from "./scan-reply.ts";
import type { Session } from "./session.ts";
import type { Walk } from "./walk.ts";

/** Keys of one transaction: more bring no speed, and nobody else is served while one is executed. */
const keysOfTransaction = 32;

/** The file is handed out in pieces of about so much. */
const pieceBytes = 256 * 1024;

export interface DumpingOptions {
  session: Session;
  walk: Walk;
  pace: Pace;
  checkpoints: Checkpoints;
  file: { out: RdbStream; rdbVersion: number };
  /** A transaction may hold keys of one slot only. */
  isCluster: boolean;
  isTimeUp(): boolean;
  signal: AbortSignal;
}

/** Keys that were named and not yet asked for. */
interface Waiting {
  keys: KeyBatch;
  slots: number[] | undefined;
  next: number;
  end: Position;
}

/** Keys that were asked for. */
interface Asked {
  replies: DumpReplies;
  count: number;
  slot: number;
  sentAt: number;
  /** Of the last keys of a call: where that ended, and how many keys it named. */
  call: { end: Position; keys: number } | undefined;
}

/**
 * Reads one database: asks for the next keys before the values of the last ones have come, so that the server never waits for us,
 * and writes each value while it comes.
 */
export class Dumping {
  readonly #options: DumpingOptions;
  #scanning: ScanReply | undefined;
  readonly #waiting: Waiting[] = [];
  #waitingKeys = 0;
  readonly #asked: Asked[] = [];
  #askedKeys = 0;
  /** The slot whose values came last; 0 where all keys share one table. */
  #knownSlot: number | undefined;
  /** Where the last call that was answered ended. */
  #at: { cursor: string; end: Position } | undefined;

  constructor(options: DumpingOptions) {
    this.#options = options;
  }

  /** Where the walk stands, once every key named so far is in the file; nothing before the first call. */
  get at(): { cursor: string; end: Position } | undefined {
    return this.#at;
  }

  /** The file's next pieces: to the end of the database, or until time is up. */
  async *pieces(): AsyncGenerator<Uint8Array, void, undefined> {
    const { session, file, signal } = this.#options;
    for (;;) {
      this.#ask();
      if (!session.isIdle) {
        await session.receive();
        this.#settle();
      } else if (this.#waitingKeys > 0) await this.#rest();
      else break;
      if (file.out.waitingBytes >= pieceBytes) yield file.out.take();
      signal.throwIfAborted();
    }
    if (file.out.waitingBytes > 0) yield file.out.take();
  }

  async #rest(): Promise<void> {
    const { pace, signal } = this.#options;
    await pause(pace.waitMs(performance.now()), signal);
  }

  /** Sends what may be sent now: a call of SCAN first, whose answer is wanted before the values have come. */
  #ask(): void {
    const { session, walk, pace, isTimeUp } = this.#options;
    const commands: Uint8Array[] = [];
    const limit = pace.limit;
    const isWanted = this.#scanning === undefined && !walk.isOver && this.#waitingKeys < limit;
    if (isWanted && (this.#at === undefined || !isTimeUp())) {
      const call = walk.call();
      this.#scanning = call.reply;
      session.expect(call.reply);
      commands.push(call.commands);
    }
    const now = performance.now();
    if (this.#askedKeys <= limit / 2 && pace.waitMs(now) === 0)
      while (this.#askedKeys < limit && this.#mayAsk()) commands.push(this.#askForKeys(limit - this.#askedKeys, now));
    if (commands.length > 0) session.send(Buffer.concat(commands));
  }

  /**
   * Values of one table are of a kind, those of the next one may be of another: of a database, and of a slot, one transaction alone is
   * on its way until its values have come.
   */
  #mayAsk(): boolean {
    const [waiting] = this.#waiting;
    if (waiting === undefined) return false;
    const slot = waiting.slots?.[waiting.next] ?? 0;
    return slot === this.#knownSlot || slot !== this.#asked.at(-1)?.slot;
  }

  #askForKeys(most: number, now: number): Uint8Array {
    const { session, file, pace } = this.#options;
    const waiting = this.#waiting[0] as Waiting;
    const { keys, slots, next: first } = waiting;
    let last = Math.min(keys.count, first + Math.min(most, keysOfTransaction));
    if (slots !== undefined) while (slots[last - 1] !== slots[first]) last--;
    const count = last - first;
    const isWhole = last === keys.count;
    const replies = new DumpReplies(keys, first, last, file);
    const call = isWhole ? { end: waiting.end, keys: keys.count } : undefined;
    this.#asked.push({ replies, count, slot: slots?.[first] ?? 0, sentAt: now, call });
    session.expect(replies);
    waiting.next = last;
    if (isWhole) this.#waiting.shift();
    this.#waitingKeys -= count;
    this.#askedKeys += count;
    pace.sent(count, now);
    return dumpCommands(keys, first, last);
  }

  /** Takes note of what has come. */
  #settle(): void {
    const { walk, pace, checkpoints, isCluster } = this.#options;
    if (this.#scanning?.isDone) {
      const { keys, cursor, end } = walk.take(this.#scanning);
      this.#scanning = undefined;
      this.#at = { cursor, end };
      if (keys.count > 0) this.#waiting.push({ keys, slots: isCluster ? keys.slots() : undefined, next: 0, end });
      this.#waitingKeys += keys.count;
    }
    const now = performance.now();
    for (let head = this.#asked[0]; head?.replies.isDone; head = this.#asked[0]) {
      this.#asked.shift();
      this.#askedKeys -= head.count;
      this.#knownSlot = head.slot;
      pace.received(head.count, head.replies.valueBytes, head.sentAt, now);
      if (head.call !== undefined) checkpoints.reached(head.call.end, head.call.keys, head.replies.endOffset);
    }
  }
}
