import { dumpFormat } from "../backup/target.ts";
import type { DumpPiece } from "../pipeline/ports.ts";
import type { Magic } from "../rdb/family.ts";
import { payloadExtraBytes, payloadFooterBytes } from "../rdb/payload.ts";
import type { Address } from "./address.ts";
import { Conversation, Refusal } from "./conversation.ts";
import { describe } from "./describe.ts";
import { replyFailure } from "./failure.ts";
import { Link } from "./link.ts";
import { command } from "./resp.ts";

/** Keys asked for ahead of their answers: the server holds the answers until we take them, and it is in use. */
const AHEAD = 32;

/** Values come in pieces of this size at most. */
const SLAB_BYTES = 256 * 1024;

/** The keys that are there, each with its expiry and its value in pieces, over a connection of its own. */
export async function* dump(
  address: Address,
  database: number,
  keys: readonly Uint8Array[],
  signal: AbortSignal,
): AsyncGenerator<DumpPiece> {
  if (keys.length === 0) return;
  const { magic } = dumpFormat(await describe(address, signal));
  const link = await Link.open(address, signal, { slabBytes: SLAB_BYTES });
  try {
    if (database !== 0) await link.ask("SELECT", `${database}`);
    const talk = new Conversation(link, address);
    for (let start = 0; start < keys.length; start += AHEAD) {
      const some = keys.slice(start, start + AHEAD);
      await link.write(Buffer.concat(some.flatMap(lookAt)));
      for (const at of some.keys()) yield* answered(talk, address, magic, start + at);
    }
  } finally {
    link.close();
  }
}

/** The commands whose replies `answered` reads. */
export const lookAt = (key: Uint8Array): Uint8Array[] => [command(["PEXPIRETIME", key]), command(["DUMP", key])];

/** One key's reply to `lookAt`; nothing where it is not there. */
export async function* answered(
  talk: Conversation,
  address: Address,
  magic: Magic,
  index: number,
): AsyncGenerator<DumpPiece> {
  const time = await talk.reply();
  if (time instanceof Refusal) throw replyFailure(address, "PEXPIRETIME", time.text);
  const length = await talk.length("$");
  if (length instanceof Refusal) throw replyFailure(address, "DUMP", length.text);
  if (length === undefined) return;
  const expireTimeMs = Number(time) >= 0 ? Number(time) : -1;
  let type = 0;
  for await (const [first = 0] of talk.bytes(1)) type = first;
  const valueBytes = length - payloadExtraBytes;
  for await (const bytes of talk.bytes(valueBytes)) yield { index, magic, type, expireTimeMs, bytes };
  for await (const _ of talk.bytes(payloadFooterBytes));
  await talk.bulkEnd();
}
