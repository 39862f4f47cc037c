import type { Backup } from "../../../shared/backup/backup.ts";
import { shortLife } from "../../../shared/backup/billing.ts";
import { later, timeOf, ttlSeconds } from "../../../shared/backup/duration.ts";
import { StatusError } from "../../../shared/error.ts";
import { submit } from "../../../shared/pipeline/submit.ts";
import { asyncFlag, command } from "../command.ts";
import { backupMade, conclude } from "../conclude.ts";
import { readInstant } from "../instant.ts";
import { readBackupName } from "../names.ts";

export const update = command({
  positionals: { "INSTANCE/BACKUP": { help: "its name", read: readBackupName } },
  flags: {
    ttl: {
      type: "string",
      value: "TTL",
      help: "how long it lives, 1d to 36500d from when it was taken, such as 90d",
      read(text) {
        ttlSeconds(text);
        return text;
      },
    },
    "expire-time": {
      type: "string",
      value: "TIME",
      help: "when it expires, such as 2027-01-31 or 2027-01-31T09:30Z",
      read: readTime,
    },
    ...asyncFlag,
  },
  example: "valkeep backups update orders/before-release --ttl=90d",

  async run({ positionals: { "INSTANCE/BACKUP": backup }, flags }, session) {
    const { ttl, "expire-time": time } = flags;
    if ((ttl === undefined) === (time === undefined))
      throw new StatusError("INVALID_ARGUMENT", "expected one of --ttl and --expire-time");
    const { ports } = await session.connect();
    const found = (await ports.store.get<Backup>(backup))?.data;
    if (found === undefined) throw new StatusError("NOT_FOUND", `there is no ${backup}`);
    const expireTime = time ?? later(found.createTime, ttlSeconds(ttl));
    const name = await submit(ports, "expiry.v1.requested", { backup, expireTime });
    await conclude(name, flags.async, ports, session, backupMade);
    const short = shortLife(found, expireTime);
    if (short !== undefined) session.say(`${backup}: ${short}.`);
    return undefined;
  },
});

/** In RFC 3339. */
function readTime(text: string): string {
  const milliseconds = readInstant(text);
  if (milliseconds !== undefined) return timeOf(milliseconds);
  throw new StatusError(
    "INVALID_ARGUMENT",
    `malformed time ${JSON.stringify(text.slice(0, 40))}: expected a day or time there is, such as 2027-01-31 or 2027-01-31T09:30Z`,
  );
}
