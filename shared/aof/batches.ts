import type { AofCommand } from "./command.ts";
import { damaged } from "./damage.ts";
import { AofScanner } from "./scanner.ts";

/** Where a replay stands: before `offset`, a border between commands, everything was carried out; `database` is selected there. */
export interface ReplayPlace {
  offset: number;
  database: number;
}

/** What goes to the server, in this order. The bytes are commands in the server's own form, valid until the next pieces are asked for. */
export type Piece =
  | ({ kind: "open" } & ReplayPlace)
  | { kind: "bytes"; bytes: Uint8Array }
  | ({ kind: "close"; commands: number } & ReplayPlace);

/** A batch is closed once it has so much: enough to keep a server busy over a few milliseconds of distance. */
const batchCommands = 1_000;
const batchBytes = 256 * 1024;

/** A command's first words, as far as they are not told apart; a plan has seen that they are short. */
const carriedBytes = 4_096;

/**
 * Cuts the commands of an AOF into batches that can each be carried out at once or not at all: commands as they are, without
 * MULTI, EXEC and remarks, and no transaction of the AOF in two of them. A large argument passes in pieces. The source must
 * begin at `from` and end at `endOffset`, behind a whole command.
 */
export async function* batches(
  source: AsyncIterable<Uint8Array>,
  from: ReplayPlace,
  endOffset: number,
): AsyncGenerator<Piece[], void, undefined> {
  const batcher = new Batcher(from);
  for await (const chunk of source) {
    const pieces = batcher.write(chunk);
    if (pieces.length > 0) yield pieces;
  }
  yield batcher.end(endOffset);
}

/** Hears of each command from the scanner, and makes pieces of the chunk that passes. */
class Batcher {
  readonly #scanner: AofScanner;
  #pieces: Piece[] = [];
  #chunk: Uint8Array = new Uint8Array(0);
  #chunkOffset: number;
  #database: number;
  #isOpen = false;
  #isInTransaction = false;
  #commands = 0;
  #openedAt = 0;
  /** What is passing; undefined while its name is not known. */
  #command: AofCommand | undefined;
  #selected = 0;
  /** The bytes of the chunk that are to be sent and stand beside each other. */
  #from = 0;
  #to = 0;
  /** The beginning, in earlier chunks, of a command whose name is not known yet. */
  #carried: Uint8Array[] = [];

  constructor({ offset, database }: ReplayPlace) {
    this.#scanner = new AofScanner(
      {
        command: (command, second, start) => this.#began(command, second, start),
        end: (end) => this.#ended(end),
        annotation: () => {
          this.#carried = [];
        },
      },
      offset,
    );
    this.#chunkOffset = offset;
    this.#database = database;
  }

  write(chunk: Uint8Array): Piece[] {
    this.#chunk = chunk;
    this.#chunkOffset = this.#scanner.offset;
    this.#from = 0;
    this.#to = 0;
    this.#scanner.write(chunk);
    if (!this.#scanner.isAtBorder) {
      if (this.#command === undefined) this.#carry();
      else if (isSent(this.#command)) this.#to = chunk.length;
    }
    this.#flush();
    return this.#taken();
  }

  end(endOffset: number): Piece[] {
    const { offset, isAtBorder } = this.#scanner;
    if (!isAtBorder || this.#isInTransaction || offset !== endOffset)
      throw damaged(`expected a whole command to end at byte ${endOffset}`, offset);
    this.#close(endOffset);
    return this.#taken();
  }

  #began(command: AofCommand, second: string, start: number): void {
    this.#command = command;
    if (command.effect === "REFUSED") throw damaged(`${command.name} is no command that a restore sends`, start);
    if (command.effect === "SELECT") this.#selected = Number(second);
    if (isSent(command)) {
      this.#open(start);
      const at = Math.max(0, start - this.#chunkOffset);
      if (at !== this.#to) {
        this.#flush();
        this.#from = at;
        this.#to = at;
      }
      for (const bytes of this.#carried) this.#pieces.push({ kind: "bytes", bytes });
    }
    this.#carried = [];
  }

  #ended(offset: number): void {
    const { effect } = this.#command ?? { effect: "WRITE" };
    this.#command = undefined;
    if (effect === "MULTI" || effect === "EXEC") this.#isInTransaction = effect === "MULTI";
    else {
      this.#to = offset - this.#chunkOffset;
      this.#commands++;
      if (effect === "SELECT") this.#database = this.#selected;
    }
    if (this.#isInTransaction) return;
    if (this.#commands >= batchCommands || offset - this.#openedAt >= batchBytes) this.#close(offset);
  }

  #open(offset: number): void {
    if (this.#isOpen) return;
    this.#isOpen = true;
    this.#openedAt = offset;
    this.#pieces.push({ kind: "open", offset, database: this.#database });
  }

  #close(offset: number): void {
    if (!this.#isOpen) return;
    this.#flush();
    this.#pieces.push({ kind: "close", offset, database: this.#database, commands: this.#commands });
    this.#isOpen = false;
    this.#commands = 0;
  }

  #flush(): void {
    if (this.#to > this.#from) this.#pieces.push({ kind: "bytes", bytes: this.#chunk.subarray(this.#from, this.#to) });
    this.#from = this.#to;
  }

  #carry(): void {
    const bytes = Uint8Array.from(this.#chunk.subarray(Math.max(0, this.#scanner.start - this.#chunkOffset)));
    this.#carried.push(bytes);
    const total = this.#carried.reduce((sum, part) => sum + part.length, 0);
    if (total > carriedBytes) throw damaged("a command's name is too long", this.#scanner.start);
  }

  #taken(): Piece[] {
    const pieces = this.#pieces;
    this.#pieces = [];
    return pieces;
  }
}

/** A batch is a transaction of its own, so those of the AOF leave only their commands. */
const isSent = ({ effect }: AofCommand): boolean => effect !== "MULTI" && effect !== "EXEC";
