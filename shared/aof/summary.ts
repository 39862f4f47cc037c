import { limits } from "../rdb/limits.ts";
import type { AofCommand } from "./command.ts";
import { damaged } from "./damage.ts";
import type { AofVisitor } from "./scanner.ts";

/** What was found among the commands of an AOF, up to the last whole one. */
export type AofSummary = {
  /** Where the commands begin: 0, or behind the RDB preamble. */
  startOffset: number;
  /** Behind the last whole command or transaction; what follows is torn. */
  endOffset: number;
  /** Writes; SELECT, MULTI and EXEC are not counted. */
  commands: number;
  transactions: number;
  /** The databases that were written to, in order. */
  databases: number[];
  largestArgumentBytes: number;
  /** Commands that may say when a key expires. */
  expires: number;
  /** The first command that no restore would send, and where it begins. */
  refused?: { name: string; offset: number };
  /** When the last commands were written, in seconds since 1970, where the server noted it (`aof-timestamp-enabled`). */
  lastTime?: number;
};

/** What one command, or a transaction that has no EXEC yet, adds. */
interface Pending {
  commands: number;
  expires: number;
  databases: Set<number>;
  largestArgumentBytes: number;
  refused?: { name: string; offset: number };
}

/** Counts what is whole: a command, and of a transaction nothing before its EXEC, as the server loads it (aof.c, loadSingleAppendOnlyFile). */
export class AofTally implements AofVisitor {
  readonly #startOffset: number;
  readonly #databases = new Set<number>();
  #endOffset: number;
  #commands = 0;
  #transactions = 0;
  #largestArgumentBytes = 0;
  #expires = 0;
  #wordCount = 0;
  #refused: { name: string; offset: number } | undefined;
  #lastTime: number | undefined;
  #command: AofCommand = { name: "", effect: "WRITE" };
  #second = "";
  #start = 0;
  /** The server loads each file with a client of its own, which begins in database 0. */
  #database = 0;
  #counted = -1;
  /** Of the open transaction. */
  #pending: Pending | undefined;

  constructor(startOffset: number) {
    this.#startOffset = startOffset;
    this.#endOffset = startOffset;
  }

  command(command: AofCommand, second: string, start: number, wordCount: number): void {
    this.#wordCount = wordCount;
    this.#command = command;
    this.#second = second;
    this.#start = start;
  }

  end(offset: number, largestBytes: number): void {
    const { effect } = this.#command;
    if (effect === "MULTI") this.#open();
    else if (effect === "EXEC") this.#close();
    else if (effect === "SELECT") this.#select();
    else if (this.#pending !== undefined) this.#hold(this.#pending, largestBytes);
    else this.#count(largestBytes);
    if (this.#pending === undefined) this.#endOffset = offset;
  }

  annotation(text: string, offset: number): void {
    const seconds = /^TS:(\d{1,12})$/.exec(text)?.[1];
    if (seconds !== undefined) this.#lastTime = Number(seconds);
    if (this.#pending === undefined) this.#endOffset = offset;
  }

  summary(): AofSummary {
    return {
      startOffset: this.#startOffset,
      endOffset: this.#endOffset,
      commands: this.#commands,
      transactions: this.#transactions,
      databases: [...this.#databases].sort((a, b) => a - b),
      largestArgumentBytes: this.#largestArgumentBytes,
      expires: this.#expires,
      ...(this.#refused !== undefined && { refused: this.#refused }),
      ...(this.#lastTime !== undefined && { lastTime: this.#lastTime }),
    };
  }

  #open(): void {
    if (this.#pending !== undefined) throw damaged("a MULTI stands within a transaction", this.#start);
    this.#pending = { commands: 0, expires: 0, databases: new Set(), largestArgumentBytes: 0 };
  }

  #close(): void {
    const pending = this.#pending;
    if (pending === undefined) throw damaged("an EXEC stands where no transaction is open", this.#start);
    this.#pending = undefined;
    this.#commands += pending.commands;
    this.#expires += pending.expires;
    this.#transactions++;
    this.#largestArgumentBytes = Math.max(this.#largestArgumentBytes, pending.largestArgumentBytes);
    this.#refused ??= pending.refused;
    for (const database of pending.databases) this.#add(this.#databases, database);
  }

  #select(): void {
    const database = Number(this.#second);
    if (!/^\d{1,10}$/.test(this.#second) || database > limits.highestDatabase)
      throw damaged("a SELECT names no database", this.#start);
    this.#database = database;
  }

  #hold(pending: Pending, largestBytes: number): void {
    pending.commands++;
    if (this.#setsExpiry()) pending.expires++;
    this.#add(pending.databases, this.#database);
    if (largestBytes > pending.largestArgumentBytes) pending.largestArgumentBytes = largestBytes;
    if (this.#command.effect === "REFUSED") pending.refused ??= { name: this.#command.name, offset: this.#start };
  }

  #count(largestBytes: number): void {
    this.#commands++;
    if (this.#setsExpiry()) this.#expires++;
    if (this.#database !== this.#counted) this.#add(this.#databases, this.#database);
    this.#counted = this.#database;
    if (largestBytes > this.#largestArgumentBytes) this.#largestArgumentBytes = largestBytes;
    if (this.#command.effect === "REFUSED") this.#refused ??= { name: this.#command.name, offset: this.#start };
  }

  #setsExpiry(): boolean {
    const { expiresFrom } = this.#command;
    return expiresFrom !== undefined && this.#wordCount >= expiresFrom;
  }

  #add(databases: Set<number>, database: number): void {
    databases.add(database);
    if (databases.size > limits.databases) throw damaged("it writes to more databases than a server has", this.#start);
  }
}
