import { isSameState, type KeyState } from "../../backup/selection.ts";
import { dumpFormat } from "../../backup/target.ts";
import type { Exchange, Exchanged, ExchangeOptions, KeyRecord, Server } from "../../pipeline/ports.ts";
import { dumpPayload } from "../../rdb/payload.ts";
import { ValueDigest } from "../../rdb/value-digest.ts";
import type { Address } from "../address.ts";
import { Conversation, Refusal, type Reply } from "../conversation.ts";
import type { Link } from "../link.ts";
import { restoreInPieces } from "../load/large-record.ts";
import { loadFailure } from "../load/load-failure.ts";
import { encodeEnd, encodeStart, restoreBytes } from "../load/restore-command.ts";
import { command } from "../resp.ts";
import { answered, lookAt } from "./dump.ts";
import { keyFailure } from "./node.ts";

/** So often one key is tried while somebody writes to it. */
const TRIES = 3;

/** Changes keys of one node over one connection: some in a transaction, or each in one of its own where somebody comes between. */
export class Exchanger {
  readonly #link: Link;
  readonly #address: Address;
  readonly #server: Server;
  readonly #now: () => number;
  readonly #signal: AbortSignal;
  readonly #talk: Conversation;

  constructor(link: Link, address: Address, server: Server, { now }: ExchangeOptions, signal: AbortSignal) {
    this.#link = link;
    this.#address = address;
    this.#server = server;
    this.#now = now;
    this.#signal = signal;
    this.#talk = new Conversation(link, address);
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
    const commands = [command(["MULTI"])];
    for (const { key, to } of due) {
      if (to === undefined) commands.push(command(["DEL", key]));
      else {
        await this.#restore(commands, key, to);
        commands.push(...lookAt(key));
      }
    }
    await this.#link.write(Buffer.concat([...commands, command(["EXEC"])]));
    this.#throwIfRefused("MULTI", await this.#talk.reply());
    for (const one of due)
      for (let replies = one.to === undefined ? 1 : 3; replies > 0; replies--)
        this.#throwIfFailed(one, await this.#talk.reply());
    const count = await this.#talk.length("*");
    if (count instanceof Refusal) throw keyFailure(this.#address, "EXEC", count.text);
    if (count === undefined) return undefined;
    const states: (KeyState | undefined)[] = [];
    for (const one of due) {
      this.#throwIfFailed(one, await this.#talk.reply());
      states.push(one.to === undefined ? undefined : await this.#state());
    }
    return states;
  }

  /** Adds the command to those that are still to be sent; a value that is not held is sent at once, and they before it. */
  async #restore(commands: Uint8Array[], key: Uint8Array, to: KeyRecord): Promise<void> {
    const { type, state, idleSeconds, freq, valueBytes, magic } = to;
    const { expireTimeMs } = state;
    const record = { keyBytes: key, keyFrom: 0, keyTo: key.length, expireTimeMs, idleSeconds, freq };
    const style = { magic, replace: true };
    const frame = new Uint8Array(restoreBytes(record, 0));
    const head = frame.slice(0, encodeStart(frame, 0, record, valueBytes, style));
    const tail = frame.slice(0, encodeEnd(frame, 0, record, style));
    const pieces = to.value(this.#signal);
    if (Array.isArray(pieces)) {
      const value = Buffer.concat(pieces as Uint8Array[]);
      const { header, footer } = dumpPayload(type, value, magic);
      commands.push(head, header, value, footer, tail);
      return;
    }
    await this.#link.write(Buffer.concat(commands.splice(0)));
    const large = { type, start: 0, end: valueBytes, tail };
    await restoreInPieces(this.#link, head, large, pieces, { magic, moved: () => undefined });
  }

  #throwIfRefused(name: string, reply: Reply): void {
    if (reply instanceof Refusal) throw keyFailure(this.#address, name, reply.text);
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
