import type { Instance } from "../../shared/backup/backup.ts";
import { timeOf } from "../../shared/backup/duration.ts";
import type { EventType } from "../../shared/backup/event.ts";
import type { Look, Symptom, WatchKind } from "../../shared/backup/finding.ts";
import { parseInstanceName } from "../../shared/backup/name.ts";
import type { Operation } from "../../shared/backup/operation.ts";
import { jobId } from "../../shared/backup/schedule.ts";
import { beginTimeOf } from "../../shared/pipeline/identity.ts";
import type { Job } from "../../shared/pipeline/ports.ts";
import { differingFields, jobOf } from "../schedule.ts";
import type { Round } from "./round.ts";

/** What can be wrong with a job. */
export const jobKinds: readonly WatchKind[] = ["job-missing", "job-paused", "job-different"];

/** The jobs without which nothing goes on, by what they ask for. */
const vital: { id: string; type: EventType; loss: string }[] = [
  { id: "valkeep-tick", type: "tick.v1", loss: "nothing that was left behind is gone on with" },
  { id: "valkeep-sweep", type: "sweep.v1.requested", loss: "nothing that has expired is deleted" },
  {
    id: "valkeep-reconciliation",
    type: "reconciliation.v1.requested",
    loss: "no job is put right, and no missed run is made up for",
  },
];

/** The jobs that every valkeep has. */
export async function* vitalJobLooks({ ports, time }: Round): AsyncGenerator<Look> {
  const jobs = await ports.scheduler.list();
  for (const { id, type, loss } of vital) {
    const ours = jobs.filter((job) => job.type === type);
    const advice = "Deploy it again, or resume it: gcloud scheduler jobs resume.";
    const isThere = ours.length > 0;
    const message = `no job asks for ${type}${isThere ? ": it is paused" : ""}; ${loss}`;
    const symptom: Symptom = { kind: isThere ? "job-paused" : "job-missing", severity: "CRITICAL", message, advice };
    const isWell = ours.some(({ state }) => state === "ENABLED");
    yield { resource: `jobs/${id}`, time, symptoms: isWell ? [] : [symptom], unread: [] };
  }
}

/**
 * What is wrong with an instance's job; `undefined` while that cannot be told, as its change is under way. `jobs`: all that there are,
 * read once; a fault is looked at again, for both may have changed since.
 */
export async function jobSymptoms(
  { ports }: Round,
  instance: Instance,
  jobs: ReadonlyMap<string, Job>,
): Promise<Symptom[] | undefined> {
  const id = parseInstanceName(instance.name);
  if (complaint(id, instance, jobs.get(jobId(id))) === undefined) return [];
  const job = await ports.scheduler.get(jobId(id));
  const now = await ports.store.get<Instance>(instance.name);
  const changes = await ports.store.query<Operation>({
    collection: "operations",
    where: [
      ["target", "==", instance.name],
      ["verb", "==", "schedule"],
      ["done", "==", false],
    ],
  });
  const isChanging = changes.some(({ data }) => beginTimeOf(data) <= timeOf(ports.clock.now()));
  if (now === undefined || isChanging) return undefined;
  const symptom = complaint(id, now.data, job);
  return symptom === undefined ? [] : [symptom];
}

function complaint(id: string, instance: Instance, found: Job | undefined): Symptom | undefined {
  const wanted = jobOf(id, instance);
  const advice = `The reconciliation puts it right within half an hour; valkeep instances update ${id} with any of its settings does at once.`;
  const symptom = (kind: WatchKind, message: string): Symptom => ({ kind, severity: "WARNING", message, advice });
  if (wanted === undefined)
    return found && symptom("job-different", `${jobId(id)} is there, but automated backups are disabled`);
  if (found === undefined) return symptom("job-missing", `${jobId(id)} is not there: no automated backup is taken`);
  if (found.state === "PAUSED") return symptom("job-paused", `${jobId(id)} is paused: no automated backup is taken`);
  const fields = differingFields(found, wanted);
  if (fields.length === 0) return undefined;
  return symptom("job-different", `${jobId(id)} differs from the instance's schedule in ${fields.join(", ")}`);
}
