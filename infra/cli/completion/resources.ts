import { setTimeout as sleep } from "node:timers/promises";
import { collectionName } from "../../../shared/backup/name.ts";
import type { Query, Store } from "../../../shared/pipeline/ports.ts";
import type { Read } from "../command.ts";
import { readBackupName, readInstanceId, readOperationName, shortName } from "../names.ts";
import type { Session } from "../session.ts";

/** Whoever presses Tab waits no longer than this, in milliseconds. */
const patience = 1_500;

/** As many as anybody would look through. */
const limit = 100;

/**
 * The names of what is there, as a verb's argument takes them. Nothing where nobody answers in time, or at all: whoever presses Tab did
 * not ask for an error.
 */
export async function namesFor(verb: string, read: Read, current: string, session: Session): Promise<string[]> {
  const find = finderFor(verb, read);
  if (find === undefined) return [];
  const found = session.connect().then(async ({ ports }) => await find(ports.store, current));
  return await Promise.race([found.catch(() => []), sleep(patience, [], { ref: false })]);
}

type Find = (store: Store, current: string) => Promise<string[]>;

/** What an argument names is told by what reads it. */
function finderFor(verb: string, read: Read): Find | undefined {
  if (read === readBackupName) return backups;
  if (read === readOperationName) return verb === "restores undo" ? restores : operations;
  if (read !== readInstanceId || verb === "instances create") return undefined;
  const outlivesInstance = verb.startsWith("collections ") || verb === "backups list";
  return outlivesInstance ? ids("backupCollections") : ids("instances");
}

const ids =
  (collection: string): Find =>
  async (store, current) =>
    await begunWith(store, collection, current);

/** First the instance, then the backup: together they could be many thousands. */
const backups: Find = async (store, current) => {
  const slash = current.indexOf("/");
  if (slash === -1) return (await begunWith(store, "backupCollections", current)).map((id) => `${id}/`);
  const [instanceId, backupId] = [current.slice(0, slash), current.slice(slash + 1)];
  const found = await begunWith(store, `${collectionName(instanceId)}/backups`, backupId);
  return found.map((id) => `${instanceId}/${id}`);
};

const operations: Find = async (store) =>
  await idsOf(store, { collection: "operations", orderBy: { field: "createTime", direction: "desc" } });

/** Of those the ones that could be undone: what only restores single keys is not told from the others by its name. */
const restores: Find = async (store, current) =>
  (await operations(store, current)).filter((id) => id.startsWith("restore-"));

/** The ids in a collection that begin so: every document has its path as its `name`, which is indexed. */
async function begunWith(store: Store, collection: string, start: string): Promise<string[]> {
  const first = `${collection}/${start}`;
  return await idsOf(store, {
    collection,
    where: [
      ["name", ">=", first],
      ["name", "<", `${first}\uffff`],
    ],
    orderBy: { field: "name", direction: "asc" },
  });
}

const idsOf = async (store: Store, query: Query): Promise<string[]> =>
  (await store.query({ ...query, limit })).map(({ path }) => shortName(path));
