import { timeOf } from "../../../shared/backup/duration.ts";
import { parseEvent } from "../../../shared/backup/event.ts";
import { instanceName, operationName } from "../../../shared/backup/name.ts";
import type { Operation } from "../../../shared/backup/operation.ts";
import { jobId, slotOf } from "../../../shared/backup/schedule.ts";
import { StatusError } from "../../../shared/error.ts";
import { identityOf, operationIdFor } from "../../../shared/pipeline/identity.ts";
import type { Job, Ports } from "../../../shared/pipeline/ports.ts";
import { asyncFlag, command } from "../command.ts";
import { backupMade, conclude } from "../conclude.ts";
import { notRegistered } from "../instances/idle.ts";
import { readInstanceId } from "../names.ts";
import type { Session } from "../session.ts";

/** How long the message may take until its Operation is there, in milliseconds. */
const patience = 60_000;

export const run = command({
  positionals: { INSTANCE: { help: "the id of an instance with automated backups", read: readInstanceId } },
  flags: { ...asyncFlag },
  example: "valkeep schedules run orders",

  async run({ positionals: { INSTANCE: id }, flags }, session) {
    const { ports } = await session.connect();
    const job = await jobOf(id, ports);
    const before = slotAt(job, ports.clock.now());
    const isOver = (await ports.store.get<Operation>(before.operation))?.data.done === true;
    await ports.scheduler.run(job.id);
    const { operation, slot } = await begun([before, slotAt(job, ports.clock.now())], ports, session);
    if (isOver && operation === before.operation)
      session.say(
        `the run of ${slot} is over, so nothing new begins; valkeep backups create ${id} takes another backup`,
      );
    return await conclude(operation, flags.async, ports, session, backupMade);
  },
});

/** The job of an instance's automated backups. */
async function jobOf(instanceId: string, { scheduler, store }: Ports): Promise<Job> {
  const found = await scheduler.get(jobId(instanceId));
  if (found !== undefined) return found;
  if ((await store.get(instanceName(instanceId))) === undefined) throw notRegistered(instanceId);
  const advice = `valkeep instances update ${instanceId} --automated-backup-config-mode=enabled makes one`;
  throw new StatusError("NOT_FOUND", `${instanceId} has no schedule; ${advice}`);
}

/** The slot that a message published now stands for, and the Operation that it begins. */
function slotAt({ data }: Job, now: number): { slot: string; operation: string } {
  const request = parseEvent("backup.v1.requested", data);
  const message = { messageId: "", publishTime: timeOf(now) };
  const operation = operationName(operationIdFor("backup.v1.requested", identityOf(request, message)));
  return { slot: request.schedule === undefined ? "" : slotOf(request.schedule, message.publishTime), operation };
}

/** The later of two slots whose Operation is there, once one is. */
async function begun<T extends { operation: string }>(slots: [T, T], ports: Ports, session: Session): Promise<T> {
  const started = ports.clock.monotonic();
  while (ports.clock.monotonic() - started < patience) {
    for (const slot of slots.toReversed()) if ((await ports.store.get(slot.operation)) !== undefined) return slot;
    await ports.clock.sleep(250, session.signal);
  }
  const advice = "are the functions running?";
  throw new StatusError("UNAVAILABLE", `the job was fired, and nothing has begun for ${patience / 1000} s: ${advice}`);
}
