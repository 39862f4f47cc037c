import { StatusError } from "../error.ts";
import type { Address } from "./address.ts";
import { type Ask, withClient } from "./connect.ts";
import { ifAllowed } from "./describe.ts";
import type { Link } from "./link.ts";

export interface Attempt {
  operation: string;
  epoch: number;
}

/**
 * Names the link by its operation and epoch, then kills the connections of earlier epochs: what they had sent and the
 * server had not begun is dropped. As everyone takes a name before looking, of two attempts at least one sees the other;
 * a later one there already is ABORTED. A server that allows no CLIENT commands is loaded unfenced.
 */
export async function fence(link: Link, address: Address, attempt: Attempt, signal: AbortSignal): Promise<void> {
  const { operation, epoch } = attempt;
  const isNamed = await ifAllowed(link.ask("CLIENT", "SETNAME", connectionName(attempt)));
  if (isNamed === undefined) return;
  await withClient(address, signal, async (ask) => {
    const clients = await epochsAt(ask, operation);
    const later = clients.find((client) => client.epoch > epoch);
    if (later !== undefined) {
      const message = `attempt ${later.epoch} of ${operation} writes to ${address.endpoint}, this was ${epoch}`;
      throw new StatusError("ABORTED", message);
    }
    await kill(ask, clients, epoch - 1);
  });
}

/** How long dropping what was sent may hold up the end of a load. */
const DROP_TIMEOUT_MS = 1_000;

/**
 * Kills the attempt's own connection and those before it: a server goes on with what it has received long after the
 * sender has hung up. Without an answer there is nobody to go on, or the next attempt's fence does it.
 */
export async function dropUnfinished(address: Address, attempt: Attempt): Promise<void> {
  const done = withClient(address, AbortSignal.timeout(DROP_TIMEOUT_MS), async (ask) =>
    kill(ask, await epochsAt(ask, attempt.operation), attempt.epoch),
  );
  await done.catch(() => undefined);
}

interface Connection {
  id: string;
  epoch: number;
}

/** The connections of an operation. */
async function epochsAt(ask: Ask, operation: string): Promise<Connection[]> {
  const lines = String((await ifAllowed(ask("CLIENT", "LIST"))) ?? "");
  const clients = [...lines.matchAll(/^id=(\d+) .*? name=(\S*) /gm)];
  return clients.flatMap(([, id = "", name = ""]) => {
    const epoch = epochOf(name, operation);
    return epoch === undefined ? [] : [{ id, epoch }];
  });
}

async function kill(ask: Ask, connections: Connection[], lastEpoch: number): Promise<void> {
  for (const { id, epoch } of connections) {
    if (epoch <= lastEpoch) await ifAllowed(ask("CLIENT", "KILL", "ID", id));
  }
}

/** INVALID_ARGUMENT: the server takes no such name. */
function connectionName({ operation, epoch }: Attempt): string {
  if (!/^[!-~]+$/.test(operation)) {
    throw new StatusError("INVALID_ARGUMENT", "an operation's id must be printable ASCII without spaces");
  }
  return `valkeep-${operation}-${epoch}`;
}

function epochOf(name: string, operation: string): number | undefined {
  const prefix = `valkeep-${operation}-`;
  const epoch = name.slice(prefix.length);
  return name.startsWith(prefix) && /^\d+$/.test(epoch) ? Number(epoch) : undefined;
}
