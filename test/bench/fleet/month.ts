import { combine, type Usage } from "./meter.ts";
import { prices } from "./prices.ts";

const days = 30.4;
const perMonth = (usage: Usage): Usage => combine(usage, usage, (a) => a * days);

/** What is assumed, not measured, of the functions: on 1 vCPU with 512 MiB, so many seconds a delivery, and a snapshot's speed. */
export const assumed = { deliverySeconds: 0.3, memoryGib: 0.5, snapshotGbPerSecond: 0.06 };

/** A month of a fleet, in dollars. */
export interface Month {
  instances: number;
  firestore: number;
  pubsub: number;
  operations: number;
  storage: number;
  scheduler: number;
  run: number;
}

/**
 * `idle`: a day of no instance; `instance`: a day of one; `jobs`: those that every deployment has. Each backup is of
 * `sizeGb`, and `kept` of them are stored.
 */
export function monthOf(
  instances: number,
  { idle, instance, jobs, kept, sizeGb }: { idle: Usage; instance: Usage; jobs: number; kept: number; sizeGb: number },
): Month {
  const used = perMonth(combine(idle, instance, (base, each) => base + each * instances));
  const seconds = used.deliveries * assumed.deliverySeconds + (instances * days * sizeGb) / assumed.snapshotGbPerSecond;
  return {
    instances,
    firestore:
      used.reads * prices.read.dollars + used.writes * prices.write.dollars + used.deletes * prices.delete.dollars,
    pubsub: used.messageBytes * prices.messageByte.dollars,
    operations: used.classA * prices.classA.dollars + used.classB * prices.classB.dollars,
    storage: instances * kept * sizeGb * prices.storedGb.dollars,
    scheduler: (instances + jobs) * prices.job.dollars,
    run:
      used.deliveries * prices.request.dollars +
      seconds * (prices.cpuSecond.dollars + assumed.memoryGib * prices.memorySecond.dollars),
  };
}

/** All of it but what the files themselves cost. */
export const withoutStorage = ({ instances: _, storage: _files, ...rest }: Month): number =>
  Object.values(rest).reduce((sum, dollars) => sum + dollars, 0);
