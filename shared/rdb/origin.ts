import { headerBytes, readHeader } from "./header.ts";
import { opcode } from "./opcodes.ts";
import { decodeString, stringSize } from "./string.ts";

/** What a file says, at its beginning, of when and where it was written; what the server did not write is absent. */
export interface Origin {
  /** When the server began to write it, by its own clock: seconds since 1970. */
  createSeconds?: number;
  /** The history of changes that the file belongs to, and how far it had come (`master_replid` and its offset in INFO). */
  replicationId?: string;
  replicationOffset?: number;
}

/** So many bytes hold all that a server says of itself before the first key. */
export const originBytes = 4096;

/** Reads the beginning of a file. DATA_LOSS: it is no RDB file. UNIMPLEMENTED: one of a version that nobody here knows. */
export function originOf(head: Uint8Array): Origin {
  readHeader(head.subarray(0, headerBytes));
  const said = new Map<string, string>();
  for (let at = headerBytes; head[at] === opcode.aux; ) {
    const value = at + 1 + stringSize(head, at + 1);
    const next = value + stringSize(head, value);
    // What is cut off, or no string, has a size of nothing or of nonsense: behind these bytes stands nothing of this.
    if (!(value > at + 1 && next > value && next <= head.length)) break;
    const [name, text] = [at + 1, value].map((start) =>
      Buffer.from(decodeString(head, start, start)).toString("latin1"),
    );
    said.set(name ?? "", text ?? "");
    at = next;
  }
  const createSeconds = numberIn(said.get("ctime"));
  const replicationOffset = numberIn(said.get("repl-offset"));
  const replicationId = said.get("repl-id");
  return {
    ...(createSeconds !== undefined && { createSeconds }),
    ...(replicationId !== undefined && /^[0-9a-f]{40}$/.test(replicationId) && { replicationId }),
    ...(replicationOffset !== undefined && { replicationOffset }),
  };
}

function numberIn(text: string | undefined): number | undefined {
  const value = Number(text ?? Number.NaN);
  return Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}
