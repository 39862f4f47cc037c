import { later, timeOf } from "../shared/backup/duration.ts";
import type { Operation } from "../shared/backup/operation.ts";
import { createCalendar } from "../shared/backup/period.ts";
import type { Decision } from "../shared/backup/retention.ts";
import { decideAll } from "../shared/pipeline/catalogue.ts";
import type { Ports } from "../shared/pipeline/ports.ts";
import { step } from "../shared/pipeline/step.ts";

/** How long Operations are kept after their end, in seconds. */
const operationLife = 90 * 86_400;

/** Backups that one sweep puts down or erases at most, over all collections: what one commit can hold. The next one goes on. */
const batch = 100;

/** Finds what has expired and asks for its deletion, and for the erasure of tombstones whose grace is over. */
export const sweep = step<"sweep.v1.requested", Decision[]>({
  on: "sweep.v1.requested",

  async run({ operation }, ports, signal) {
    const decisions = await decideAll(ports.store, timeOf(ports.clock.now()), signal);
    await forgetOperations(ports, signal);
    const wanted = decisions.filter(({ action }) => action !== "KEEP" && action !== "HOLD");
    // From another place each time: what cannot be erased must not stand before the others for ever.
    const from = Number.parseInt(operation.slice(-8), 16) % Math.max(wanted.length, 1);
    return [...wanted.slice(from), ...wanted.slice(0, from)];
  },

  async commit({ operation }, decisions, change) {
    const due = decisions.filter(({ action }) => action !== "DEFERRED");
    const going = due.slice(0, batch);
    for (const { backup, action } of going) {
      const identity = `${operation} ${backup}`;
      if (action === "EXPIRE") await change.request("deletion.v1.requested", { backup }, identity);
      else await change.request("erasure.v1.requested", { backup }, identity);
    }
    // Once a week: it looks at every object of the vault.
    await change.request("orphans.v1.requested", {}, createCalendar("Etc/UTC")(change.now, "week"));
    const count = (wanted: Decision["action"]): number => going.filter(({ action }) => action === wanted).length;
    const deferred = decisions.length - going.length;
    await change.end({ response: { expired: count("EXPIRE"), erased: count("ERASE"), deferred } });
  },
});

async function forgetOperations({ store, clock }: Ports, signal: AbortSignal): Promise<void> {
  const before = later(timeOf(clock.now()), -operationLife);
  const old = await store.query<Operation>({
    collection: "operations",
    where: [["endTime", "<=", before]],
    orderBy: { field: "endTime", direction: "asc" },
    limit: 200,
  });
  for (const { path } of old) {
    signal.throwIfAborted();
    const tasks = await store.query({ collection: `${path}/tasks` });
    await store.commit([...tasks, { path }].map((doc) => ({ kind: "remove", path: doc.path })));
  }
}
