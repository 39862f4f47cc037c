import { dumpFormat } from "../../backup/target.ts";
import type { DumpPiece } from "../../pipeline/ports.ts";
import { latestExpireTimeMs } from "../../rdb/entry.ts";
import type { Magic } from "../../rdb/family.ts";
import { payloadExtraBytes, payloadFooterBytes } from "../../rdb/payload.ts";
import type { Address } from "../address.ts";
import { Conversation, Refusal } from "../conversation.ts";
import { Link } from "../link.ts";
import { type LoadTarget, serverAt } from "../load/target.ts";
import { command } from "../resp.ts";
import { keyFailure, keysByNode, selectDatabase } from "./node.ts";

/** Keys asked for ahead of their answers: the server holds the answers until we take them, and it is in use. */
const AHEAD = 32;

/** Values come in pieces of this size at most. */
const SLAB_BYTES = 256 * 1024;

/** The keys that are there, each with its expiry and its value in pieces, over connections of its own, node after node. */
export async function* dump(
  target: LoadTarget,
  database: number,
  keys: readonly Uint8Array[],
  signal: AbortSignal,
): AsyncGenerator<DumpPiece> {
  const places = keys.map((key, index) => ({ key, index }));
  for (const { address, items } of keysByNode(target, places)) {
    const { magic } = dumpFormat(serverAt(target, address));
    const link = await Link.open(address, signal, { slabBytes: SLAB_BYTES });
    try {
      await selectDatabase(link, address, database);
      const talk = new Conversation(link, address);
      for (let start = 0; start < items.length; start += AHEAD) {
        const some = items.slice(start, start + AHEAD);
        await link.write(Buffer.concat(some.flatMap(({ key }) => lookAt(key))));
        for (const { index } of some) yield* answered(talk, address, magic, index);
      }
    } finally {
      link.close();
    }
  }
}

/** The commands whose replies `answered` reads. */
export const lookAt = (key: Uint8Array): Uint8Array[] => [command(["PEXPIRETIME", key]), command(["DUMP", key])];

/** One key's replies to `lookAt`; nothing where it is not there. */
export async function* answered(
  talk: Conversation,
  address: Address,
  magic: Magic,
  index: number,
): AsyncGenerator<DumpPiece> {
  const time = await talk.reply();
  if (time instanceof Refusal) throw keyFailure(address, "PEXPIRETIME", time.text);
  const length = await talk.length("$");
  if (length instanceof Refusal) throw keyFailure(address, "DUMP", length.text);
  if (length === undefined) return;
  const expireTimeMs = Number(time) >= 0 ? Math.min(Number(time), latestExpireTimeMs) : -1;
  let type = 0;
  for await (const [first = 0] of talk.bytes(1)) type = first;
  const valueBytes = length - payloadExtraBytes;
  for await (const bytes of talk.bytes(valueBytes)) yield { index, magic, type, expireTimeMs, bytes };
  for await (const _ of talk.bytes(payloadFooterBytes));
  await talk.bulkEnd();
}
