import { StatusError } from "../error.ts";
import type { Address } from "./address.ts";
import { type Ask, withClient } from "./connect.ts";
import { ifAllowed } from "./describe.ts";
import type { Link } from "./link.ts";
import { sideBySide } from "./side-by-side.ts";

export interface Attempt {
  operation: string;
  part: number;
  epoch: number;
  /** Throws if the lease of the attempt is gone. */
  confirm(): Promise<void>;
}

/** A link to a node that a load writes to. */
export interface FencedNode {
  address: Address;
  link: Link;
}

/**
 * Names each link by its operation and epoch, then kills the connections of earlier epochs, at every node: what they had
 * sent and the server had not begun is dropped. As everyone takes all of its names before looking, of two attempts at
 * least one sees the other; a later one there already is ABORTED. A server that allows no CLIENT commands is loaded unfenced.
 */
export async function fence(nodes: readonly FencedNode[], attempt: Attempt, signal: AbortSignal): Promise<void> {
  const name = connectionName(attempt);
  const named = await sideBySide(nodes, async ({ address, link }) => {
    const isNamed = await ifAllowed(link.ask("CLIENT", "SETNAME", name));
    return isNamed === undefined ? [] : [address];
  });
  // Whoever takes over from here on sees the names; whoever has taken over already is why this throws.
  await attempt.confirm();
  await sideBySide(named.flat(), (address) => withClient(address, signal, (ask) => clear(ask, address, attempt)));
}

async function clear(ask: Ask, { endpoint }: Address, attempt: Attempt): Promise<void> {
  const { operation, epoch } = attempt;
  const clients = await connectionsAt(ask);
  const own = clients.filter((client) => isSamePart(client, attempt));
  const later = own.find((client) => client.epoch > epoch);
  if (later !== undefined) {
    const message = `attempt ${later.epoch} of ${operation} writes to ${endpoint}, this was ${epoch}`;
    throw new StatusError("ABORTED", message);
  }
  const strangers = clients.filter((client) => client.operation !== operation);
  await kill(ask, [...strangers, ...own.filter((client) => client.epoch < epoch)]);
}

/** How long dropping what was sent may hold up the end of a load. */
const DROP_TIMEOUT_MS = 1_000;

/**
 * Kills the attempt's own connection and those before it: a server goes on with what it has received long after the
 * sender has hung up. Without an answer there is nobody to go on, or the next attempt's fence does it.
 */
export async function dropUnfinished(address: Address, attempt: Attempt): Promise<void> {
  const done = withClient(address, AbortSignal.timeout(DROP_TIMEOUT_MS), async (ask) =>
    kill(
      ask,
      (await connectionsAt(ask)).filter((client) => isSamePart(client, attempt) && client.epoch <= attempt.epoch),
    ),
  );
  await done.catch(() => undefined);
}

interface Connection {
  id: string;
  operation: string;
  part: number;
  epoch: number;
}

const isSamePart = (one: Connection, { operation, part }: Attempt): boolean =>
  one.operation === operation && one.part === part;

/** The connections of every load. */
async function connectionsAt(ask: Ask): Promise<Connection[]> {
  const lines = String((await ifAllowed(ask("CLIENT", "LIST"))) ?? "");
  const clients = [...lines.matchAll(/^id=(\d+) .*? name=valkeep-(\S+)-(\d+)-(\d+) /gm)];
  return clients.map(([, id = "", operation = "", part, epoch]) => ({
    id,
    operation,
    part: Number(part),
    epoch: Number(epoch),
  }));
}

async function kill(ask: Ask, connections: Connection[]): Promise<void> {
  for (const { id } of connections) await ifAllowed(ask("CLIENT", "KILL", "ID", id));
}

/** INVALID_ARGUMENT: the server takes no such name. */
function connectionName({ operation, part, epoch }: Attempt): string {
  if (!/^[!-~]+$/.test(operation)) {
    throw new StatusError("INVALID_ARGUMENT", "an operation's id must be printable ASCII without spaces");
  }
  return `valkeep-${operation}-${part}-${epoch}`;
}
