import type { BackupCollection, RetentionPolicy } from "../../../shared/backup/backup.ts";
import { timeOf } from "../../../shared/backup/duration.ts";
import { collectionName } from "../../../shared/backup/name.ts";
import { assertPolicy } from "../../../shared/backup/retention.ts";
import { overruled, toReview } from "../../../shared/backup/review.ts";
import { StatusError } from "../../../shared/error.ts";
import type { Ports } from "../../../shared/pipeline/ports.ts";
import { command, type Flag } from "../command.ts";
import { printDocument } from "../describe.ts";
import { readInstanceId } from "../names.ts";

const count = (help: string) => ({ type: "string", value: "N", help: `${help}; 0 for none` }) as const satisfies Flag;

/** Which flag sets which field of the policy. */
const fields = {
  "keep-last": "keepLast",
  "keep-daily": "keepDaily",
  "keep-weekly": "keepWeekly",
  "keep-monthly": "keepMonthly",
  "keep-yearly": "keepYearly",
  "minimum-redundancy": "minimumRedundancy",
} as const;

export const update = command({
  positionals: { INSTANCE: { help: "the id of the instance, which may be gone", read: readInstanceId } },
  flags: {
    "keep-last": count("keep the newest N whatever their age"),
    "keep-daily": count("keep the newest of each of the last N days that have one"),
    "keep-weekly": count("the same by ISO week"),
    "keep-monthly": count("the same by month"),
    "keep-yearly": count("the same by year"),
    "minimum-redundancy": {
      type: "string",
      value: "N",
      help: "never keep fewer than N of the best verified; at least 1",
    },
    "time-zone": { type: "string", value: "ZONE", help: "where days begin, such as Asia/Tokyo; UTC where absent" },
  },
  example: "valkeep collections update orders --keep-daily=7 --keep-weekly=4 --keep-monthly=12 --time-zone=Asia/Tokyo",

  async run({ positionals: { INSTANCE: id }, flags }, session) {
    const changes: RetentionPolicy = {};
    for (const [flag, field] of Object.entries(fields)) {
      const text = flags[flag as keyof typeof fields];
      if (text !== undefined) changes[field] = readCount(flag, text);
    }
    if (flags["time-zone"] !== undefined) changes.timeZone = flags["time-zone"];
    if (Object.keys(changes).length === 0)
      throw new StatusError("INVALID_ARGUMENT", "nothing is to be changed: give a flag");
    const { ports } = await session.connect();
    await change(ports, collectionName(id), changes);
    await printDocument(session, collectionName(id));
  },
});

/** One document under its own guard, and nothing follows from it: the next sweep decides by it. */
async function change({ store, clock }: Ports, name: string, changes: RetentionPolicy): Promise<void> {
  const doc = await store.get<BackupCollection>(name);
  if (doc === undefined) throw new StatusError("NOT_FOUND", `there is no ${name}; the first backup makes it`);
  const retentionPolicy = { ...doc.data.retentionPolicy, ...changes };
  assertPolicy(retentionPolicy);
  const now = timeOf(clock.now());
  const data = overruled(toReview({ ...doc.data, retentionPolicy }, now), now);
  await store.commit([{ kind: "put", path: name, data, updateTime: doc.updateTime }]);
}

function readCount(flag: string, text: string): number {
  if (/^\d{1,5}$/.test(text)) return Number(text);
  throw new StatusError(
    "INVALID_ARGUMENT",
    `--${flag} ${JSON.stringify(text.slice(0, 20))}: expected a whole number from 0 to 10000`,
  );
}
