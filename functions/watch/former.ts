import { later } from "../../shared/backup/duration.ts";
import { clearedLife, type Finding, type Look } from "../../shared/backup/finding.ts";
import type { Operation } from "../../shared/backup/operation.ts";
import type { Doc } from "../../shared/pipeline/ports.ts";
import { operationLook } from "./operations.ts";
import type { Round } from "./round.ts";

const pageSize = 100;

/** A second look at what was found before and was not met in this round: it may be in order, or gone. */
export async function* formerLooks(round: Round): AsyncGenerator<Look> {
  for (let after: Doc | undefined; ; ) {
    const page: Doc<Finding>[] = await round.ports.store.query<Finding>({
      collection: "findings",
      where: [["state", "==", "OPEN"]],
      limit: pageSize,
      ...(after !== undefined && { after }),
    });
    for (const { data } of page) {
      const look = data.lastSeenTime < round.time ? await secondLook(data, round) : undefined;
      if (look !== undefined) yield look;
    }
    after = page.at(-1);
    if (page.length < pageSize || round.signal.aborted) return;
  }
}

/** Nothing where the resource is there still, and this round could not look at it. */
async function secondLook({ resource }: Finding, round: Round): Promise<Look | undefined> {
  const { store, settings } = round.ports;
  const [collection, id = ""] = resource.split("/");
  const inOrder: Look = { resource, time: round.time, symptoms: [], unread: [] };
  switch (collection) {
    case "instances":
      return (await store.get(resource)) === undefined ? inOrder : undefined;
    case "operations": {
      const operation = await store.get<Operation>(resource);
      return operation === undefined ? inOrder : await operationLook(operation.data, round);
    }
    case "buckets":
      return id === settings.vaultBucket || id === settings.inboxBucket ? undefined : inOrder;
    default:
      return undefined;
  }
}

/** Forgets findings that were cleared long ago. */
export async function forgetCleared({ ports: { store }, time }: Round): Promise<void> {
  const old = await store.query<Finding>({
    collection: "findings",
    where: [["clearTime", "<=", later(time, -clearedLife)]],
    orderBy: { field: "clearTime", direction: "asc" },
    limit: pageSize,
  });
  for (const { path, updateTime } of old) await store.commit([{ kind: "remove", path, updateTime }]);
}
