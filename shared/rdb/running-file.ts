import { Crc64 } from "./crc64.ts";
import { encodeHeader, type Format, firstVersionWithCrc } from "./header.ts";
import { opcode } from "./opcodes.ts";
import { encodeItem } from "./writer.ts";

/** A file whose values come in pieces, so that none has to be held: send what each call answers, in this order. */
export class RunningFile {
  readonly #crc = new Crc64();
  readonly #format: Format;
  #database: number | undefined;

  constructor(format: Format) {
    this.#format = format;
  }

  header(): Uint8Array {
    return this.#counted(encodeHeader(this.#format));
  }

  /** All of a record before its value. */
  key(db: number, key: Uint8Array, type: number, expireTimeMs: number): Uint8Array {
    const selected = db === this.#database ? [] : [encodeItem({ kind: "database", db })];
    this.#database = db;
    const record = encodeItem({ kind: "record", key, type, expireTimeMs, value: new Uint8Array(0) });
    return this.#counted(Buffer.concat([...selected, record]));
  }

  value(piece: Uint8Array): Uint8Array {
    return this.#counted(piece);
  }

  footer(): Uint8Array {
    const end = this.#counted(Uint8Array.of(opcode.end));
    if (this.#format.rdbVersion < firstVersionWithCrc) return end;
    const footer = new Uint8Array(9);
    footer.set(end);
    this.#crc.writeTo(footer, 1);
    return footer;
  }

  #counted(bytes: Uint8Array): Uint8Array {
    this.#crc.update(bytes);
    return bytes;
  }
}
