import { isSameState, type KeyState } from "../backup/selection.ts";
import { dumpFormat } from "../backup/target.ts";
import type { Exchange, Exchanged, ExchangeOptions, KeyRecord, Server } from "../pipeline/ports.ts";
import type { RdbRecord } from "../rdb/entry.ts";
import { ValueDigest } from "../rdb/value-digest.ts";
import type { Address } from "./address.ts";
import { Conversation, Refusal, type Reply } from "./conversation.ts";
import { describe } from "./describe.ts";
import { replyFailure } from "./failure.ts";
import { fence } from "./fence.ts";
import { answered, lookAt } from "./key-dump.ts";
import { restoreInPieces } from "./large-record.ts";
import { Link } from "./link.ts";
import { loadFailure } from "./load-failure.ts";
import { command } from "./resp.ts";
import { BLOCK_BYTES, RespWriter } from "./resp-writer.ts";
import { encodeRestore, restoreBytes } from "./restore-command.ts";

/** Changes that are made in one transaction: one that a live writer breaks is tried again key by key. */
const AT_ONCE = 32;

/** Bytes of values in one transaction: the server holds it whole until it is carried out. */
const TRANSACTION_BYTES = 1024 * 1024;

/** So often one key is tried while somebody writes to it. */
const TRIES = 3;

const SLAB_BYTES = 256 * 1024;

/** Makes each change in a transaction that the server drops if the key is touched after it was compared (WATCH). */
export async function exchange(
  address: Address,
  exchanges: readonly Exchange[],
  options: ExchangeOptions,
  signal: AbortSignal,
): Promise<Exchanged[]> {
  const link = await Link.open(address, signal, { slabBytes: SLAB_BYTES });
  try {
    await fence(link, address, options, signal);
    if (options.database !== 0) await link.ask("SELECT", `${options.database}`);
    const server = await describe(address, signal);
    const exchanger = new Exchanger(link, address, server, options, signal);
    const outcomes: Exchanged[] = [];
    for (const some of transactionsOf(exchanges)) outcomes.push(...(await exchanger.make(some)));
    return outcomes;
  } finally {
    link.close();
  }
}

function* transactionsOf(exchanges: readonly Exchange[]): Generator<Exchange[]> {
  let some: Exchange[] = [];
  let bytes = 0;
  for (const one of exchanges) {
    const size = one.to?.valueBytes ?? 0;
    if (some.length === AT_ONCE || (some.length > 0 && bytes + size > TRANSACTION_BYTES)) {
      yield some;
      some = [];
      bytes = 0;
    }
    some.push(one);
    bytes += size;
  }
  if (some.length > 0) yield some;
}

class Exchanger {
  readonly #link: Link;
  readonly #address: Address;
  readonly #server: Server;
  readonly #now: () => number;
  readonly #signal: AbortSignal;
  readonly #talk: Conversation;
  readonly #writer: RespWriter;

  constructor(link: Link, address: Address, server: Server, { now }: ExchangeOptions, signal: AbortSignal) {
    this.#link = link;
    this.#address = address;
    this.#server = server;
    this.#now = now;
    this.#signal = signal;
    this.#talk = new Conversation(link, address);
    this.#writer = new RespWriter(link, () => undefined);
  }

  async make(some: readonly Exchange[]): Promise<Exchanged[]> {
    for (let attempt = 1; attempt <= TRIES; attempt++) {
      const states = await this.#watch(some);
      const found = some.map((one, at) => ({ outcome: judge(one, states[at], this.#now()), state: states[at] }));
      const due = some.filter((_, at) => found[at]?.outcome === "DONE");
      if (due.length === 0) {
        await this.#link.write(command(["UNWATCH"]));
        this.#throwIfRefused("UNWATCH", await this.#talk.reply());
        return found;
      }
      const done = await this.#transact(due);
      if (done !== undefined)
        return found.map((one) => (one.outcome === "DONE" ? { ...one, state: done.shift() } : one));
      if (some.length === 1) continue;
      const single: Exchanged[] = [];
      for (const one of some) single.push(...(await this.make([one])));
      return single;
    }
    return [{ outcome: "CHANGED" }];
  }

  /** The keys as they are; from here on the server knows whether somebody touches one of them. */
  async #watch(some: readonly Exchange[]): Promise<(KeyState | undefined)[]> {
    const keys = some.map(({ key }) => key);
    await this.#link.write(Buffer.concat([command(["WATCH", ...keys]), ...keys.flatMap(lookAt)]));
    this.#throwIfRefused("WATCH", await this.#talk.reply());
    const states: (KeyState | undefined)[] = [];
    for (const _ of keys) states.push(await this.#state());
    return states;
  }

  /** What the next replies to `lookAt` tell. */
  async #state(): Promise<KeyState | undefined> {
    let found: { digest: ValueDigest; expireTimeMs: number } | undefined;
    const { magic } = dumpFormat(this.#server);
    for await (const { type, expireTimeMs, bytes } of answered(this.#talk, this.#address, magic, 0)) {
      found ??= { digest: new ValueDigest(type, magic), expireTimeMs };
      found.digest.update(bytes);
    }
    return found && { digest: found.digest.hex(), expireTimeMs: found.expireTimeMs };
  }

  /** The keys as they are then; `undefined` where somebody came between, and nothing was done. */
  async #transact(due: readonly Exchange[]): Promise<(KeyState | undefined)[] | undefined> {
    await this.#writer.append(command(["MULTI"]));
    for (const { key, to } of due) {
      if (to === undefined) await this.#writer.append(command(["DEL", key]));
      else {
        await this.#restore(key, to);
        for (const words of lookAt(key)) await this.#writer.append(words);
      }
    }
    await this.#writer.append(command(["EXEC"]));
    await this.#writer.flush();
    this.#throwIfRefused("MULTI", await this.#talk.reply());
    for (const one of due)
      for (let replies = one.to === undefined ? 1 : 3; replies > 0; replies--)
        this.#throwIfFailed(one, await this.#talk.reply());
    const count = await this.#talk.length("*");
    if (count instanceof Refusal) throw replyFailure(this.#address, "EXEC", count.text);
    if (count === undefined) return undefined;
    const states: (KeyState | undefined)[] = [];
    for (const one of due) {
      this.#throwIfFailed(one, await this.#talk.reply());
      states.push(one.to === undefined ? undefined : await this.#state());
    }
    return states;
  }

  async #restore(key: Uint8Array, to: KeyRecord): Promise<void> {
    const { type, state, idleSeconds, freq, valueBytes, magic } = to;
    const place = { db: 0, offset: 0, valueStart: 0, valueEnd: valueBytes };
    const { expireTimeMs } = state;
    const record: RdbRecord = {
      kind: "record",
      key,
      expireTimeMs,
      idleSeconds,
      freq,
      type,
      value: undefined,
      ...place,
    };
    const style = { magic, replace: true };
    const pieces = to.value(this.#signal);
    const [whole, ...more] = Array.isArray(pieces) ? (pieces as Uint8Array[]) : [];
    const bytes = restoreBytes(record, valueBytes);
    if (whole === undefined || more.length > 0 || bytes > BLOCK_BYTES)
      return await restoreInPieces(this.#writer, record, pieces, style);
    if (!this.#writer.hasRoom(bytes)) await this.#writer.flush();
    encodeRestore(this.#writer, record, whole, style);
  }

  #throwIfRefused(name: string, reply: Reply): void {
    if (reply instanceof Refusal) throw replyFailure(this.#address, name, reply.text);
  }

  /** Says of a value that is not taken what it needs. */
  #throwIfFailed({ to }: Exchange, reply: Reply): void {
    if (to === undefined) this.#throwIfRefused("DEL", reply);
    if (to === undefined || !(reply instanceof Refusal)) return;
    const facts = { magic: to.magic, rdbVersion: this.#server.rdbVersion };
    throw loadFailure(this.#address, this.#server, facts, to.type, reply.text);
  }
}

/** What may be done about a key that is in this state. */
function judge({ from, to }: Exchange, there: KeyState | undefined, now: number): Exchanged["outcome"] {
  if (isSameState(there, to?.state)) return "ALREADY";
  if (from === "ANY" || isSameState(there, from)) return "DONE";
  const hasExpired = from !== undefined && from.expireTimeMs !== -1 && from.expireTimeMs <= now;
  return there === undefined && hasExpired ? "DONE" : "CHANGED";
}
