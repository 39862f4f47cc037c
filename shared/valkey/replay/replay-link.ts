import type { Replayer } from "../../pipeline/ports.ts";
import type { Address } from "../address.ts";
import { withClient } from "../connect.ts";
import { dropUnfinished, fence } from "../fence.ts";
import { Link } from "../link.ts";

/** Replies are 9 bytes each: small slabs hold thousands. */
const slabBytes = 128 * 1024;

/** By which the connections of a replay are told from those that load the parts of the same restore. */
const replayPart = 10_000;

/**
 * A connection that has cut off every earlier one of the same replay, for as long as `use` takes. Commands that are not idempotent go
 * only where that can be done: PERMISSION_DENIED names what the ACL lacks.
 */
export async function withReplayLink<T>(
  address: Address,
  replayer: Replayer,
  signal: AbortSignal,
  use: (link: Link) => Promise<T>,
): Promise<T> {
  const attempt = { ...replayer, part: replayPart };
  await requireFencing(address, signal);
  const link = await Link.open(address, signal, { slabBytes });
  try {
    await fence([{ address, link }], attempt, signal);
    return await use(link);
  } catch (error) {
    link.close();
    await dropUnfinished(address, attempt);
    throw error;
  } finally {
    link.close();
  }
}

async function requireFencing(address: Address, signal: AbortSignal): Promise<void> {
  await withClient(address, signal, async (ask) => {
    await ask("CLIENT", "SETNAME", "valkeep");
    await ask("CLIENT", "LIST", "TYPE", "pubsub");
    // Ids count connections: nobody has this one.
    await ask("CLIENT", "KILL", "ID", `${Number.MAX_SAFE_INTEGER}`);
  });
}
