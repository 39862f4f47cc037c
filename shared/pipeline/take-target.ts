import type { BackupCollection, Endpoint, Instance } from "../backup/backup.ts";
import { collectionName, endpointName, parseInstanceName, serverNames } from "../backup/name.ts";
import type { ServerIdentity } from "../backup/server-identity.ts";
import { StatusError } from "../error.ts";
import type { Change } from "./change.ts";
import { lockedBy } from "./held.ts";
import { registered } from "./registered.ts";

/**
 * Takes an instance for a restore: one at a time writes into it, and into its endpoint, which other instances may be
 * registered with too. The endpoint has a document of its own for that, since two admissions at once would not see each
 * other's locks on two instances; both write this one.
 */
export async function takeTarget(change: Change, instanceId: string): Promise<void> {
  const instance = await registered(change, instanceId);
  const { endpoint } = instance;
  await assertFree(change, instance);
  const there = await change.find<Instance>({ collection: "instances", where: [["endpoint", "==", endpoint]] });
  for (const one of there) await assertNotRead(change, one);
  change.put(instance.name, { ...instance, restoring: change.operation.name });
  change.hold({ kind: "lock", path: instance.name, field: "restoring" });
  occupy(change, endpointName(endpoint));
}

/**
 * Takes for a restore, once its target has said what it is and before anything is written, what answers there: other
 * instances may lead to it by other addresses, such as other nodes of a cluster.
 */
export async function takeServer(change: Change, instance: string, server: ServerIdentity): Promise<void> {
  await assertServerFree(change, instance, server);
  for (const name of serverNames(server.ids)) {
    for (const backup of (await change.read<Endpoint>(name))?.reading ?? [])
      if ((await lockedBy(backup, change)) !== undefined) throw isRead(instance, `${backup} under another name`);
    occupy(change, name);
  }
}

/**
 * Lets a backup read, once its instance has said what it is, what answers there. Nothing is taken, and the restore is answered, where
 * one writes to it.
 */
export async function readServer(change: Change, server: ServerIdentity): Promise<string | undefined> {
  const writer = await serverWriterOf(change, server);
  if (writer !== undefined) return writer;
  const { name: own } = change.operation;
  for (const name of serverNames(server.ids)) {
    const others = (await change.read<Endpoint>(name))?.reading?.filter((reader) => reader !== own) ?? [];
    change.put(name, { name, reading: [...others, own] } satisfies Endpoint);
    change.hold({ kind: "server", path: name });
  }
  return undefined;
}

function occupy(change: Change, name: string): void {
  change.put(name, { name, restoring: change.operation.name } satisfies Endpoint);
  change.hold({ kind: "endpoint", path: name });
}

/**
 * FAILED_PRECONDITION while a backup of an instance at the endpoint is being taken: of half of what is restored it would be the newest
 * one. Its admission writes the collection, so that is written here too, unchanged: a backup that was admitted meanwhile is met. One
 * that is admitted after this, on what it had read before, finds the endpoint taken once it has planned.
 */
async function assertNotRead(change: Change, { name }: Instance): Promise<void> {
  const collection = await change.read<BackupCollection>(collectionName(parseInstanceName(name)));
  if (collection === undefined) return;
  const reader = await lockedBy(collection.creating, change);
  if (reader !== undefined) throw isRead(name, reader);
  change.put(collection.name, collection);
}

const isRead = (instance: string, reader: string): StatusError =>
  new StatusError(
    "FAILED_PRECONDITION",
    `${instance} is being backed up by ${reader}: it is restored once that is over; wait for it or cancel it`,
  );

/** FAILED_PRECONDITION while another restore writes into the instance, or into its endpoint. Takes nothing. */
export async function assertFree(change: Change, instance: Instance): Promise<void> {
  const writer = await writerOf(change, instance);
  if (writer === undefined) return;
  throw new StatusError(
    "FAILED_PRECONDITION",
    `${instance.name} at ${instance.endpoint} is being restored by ${writer}: one restore at a time; wait for it or cancel it`,
  );
}

/** The live restore, other than this Operation, that writes into the instance, or into its endpoint as another instance. */
export async function writerOf(change: Change, { endpoint, restoring }: Instance): Promise<string | undefined> {
  const elsewhere = await change.read<Endpoint>(endpointName(endpoint));
  return (await lockedBy(restoring, change)) ?? (await lockedBy(elsewhere?.restoring, change));
}

/** FAILED_PRECONDITION while another restore writes to what answers at the instance's endpoint, by whatever address. Takes nothing. */
export async function assertServerFree(change: Change, instance: string, server: ServerIdentity): Promise<void> {
  const writer = await serverWriterOf(change, server);
  if (writer === undefined) return;
  throw new StatusError(
    "FAILED_PRECONDITION",
    `${instance} is being restored by ${writer} under another name: one restore at a time; wait for it or cancel it`,
  );
}

/** The live restore, other than this Operation, that writes to what is, or was, known by these ids. */
async function serverWriterOf(change: Change, { ids, formerIds = [] }: ServerIdentity): Promise<string | undefined> {
  let writer: string | undefined;
  for (const name of serverNames([...ids, ...formerIds]))
    writer ??= await lockedBy((await change.read<Endpoint>(name))?.restoring, change);
  return writer;
}
