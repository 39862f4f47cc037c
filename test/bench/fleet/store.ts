import type { BackupCollection } from "../../../shared/backup/backup.ts";
import { later } from "../../../shared/backup/duration.ts";
import { collectionName } from "../../../shared/backup/name.ts";
import type { Doc, Query, Store } from "../../../shared/pipeline/ports.ts";
import { backupOf } from "./stage.ts";

/** How long each backup lives, in days; what is older only a rule keeps. */
const life = 35;

/**
 * A fleet too large to be held in memory, made up where it is read: collections with a backup a day each, by day, week and
 * month. It can only be read.
 */
export function createFleetStore(instanceCount: number, backupCount: number, now: string): Store {
  const collections = Array.from({ length: instanceCount }, (_, n) => collectionName(`i${n}`)).sort();

  // Each instance at its own hour, as schedules have it.
  const hours = Array.from({ length: 24 }, (_, hour) =>
    Array.from({ length: backupCount }, (_, age) => backupOf("any", age, life, later(now, -hour * 3600))),
  );
  const hourOf = (collection: string): number => Number.parseInt(/\d+/.exec(collection)?.[0] ?? "0", 10) % hours.length;

  function collectionOf(name: string): BackupCollection {
    const instance = name.replace("backupCollections", "instances");
    const retentionPolicy = { keepDaily: 7, keepWeekly: 4, keepMonthly: 12, timeZone: "Asia/Tokyo" };
    const totals = { totalBackupCount: backupCount, totalBackupSizeBytes: 0 };
    return { name, instance, instanceUid: "u", location: "us-central1", createTime: now, ...totals, retentionPolicy };
  }

  function* documents({ collection }: Query): Generator<Doc> {
    if (collection === "backupCollections")
      for (const path of collections) yield { path, data: collectionOf(path), updateTime: now };
    else
      for (const [age, backup] of (hours[hourOf(collection)] ?? []).entries()) {
        const path = `${collection}/b${age}`;
        yield { path, data: { ...backup, name: path }, updateTime: now };
      }
  }

  const refused = (): Promise<never> => Promise.reject(new Error("this fleet can only be read"));
  return {
    get: async <T>(path: string) => ({ path, data: collectionOf(path) as T, updateTime: now }),
    getAll: refused,
    commit: refused,
    async query<T>(query: Query) {
      let isAfter = query.after === undefined;
      const page: Doc[] = [];
      for (const doc of documents(query)) {
        if (page.length === query.limit) break;
        if (isAfter) page.push(doc);
        isAfter ||= doc.path === query.after?.path;
      }
      return page as Doc<T>[];
    },
  };
}
