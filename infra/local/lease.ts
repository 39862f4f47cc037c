import { timeOf } from "../../shared/backup/duration.ts";
import type { Task } from "../../shared/backup/operation.ts";
import type { Store } from "../../shared/pipeline/ports.ts";
import { timing } from "../../shared/pipeline/timing.ts";

/**
 * Ends every lease, so that the next tick goes on with what was under way. Only while no function runs: whoever held a lease is
 * gone then, and so are the messages of Pub/Sub's emulator, one of which would have come again.
 */
export async function endLeases(store: Store, now: number): Promise<void> {
  const time = timeOf(now);
  const due = await store.query<Task>({
    collection: "tasks",
    group: true,
    where: [
      ["relayTime", ">", time],
      ["relayTime", "<=", timeOf(now + timing.lease + timing.neglect)],
    ],
    orderBy: { field: "relayTime", direction: "asc" },
  });
  const writes = due.flatMap(({ path, data, updateTime }) => {
    if (data.lease === undefined || data.lease.expireTime <= time) return [];
    const ended: Task = { ...data, lease: { ...data.lease, expireTime: time }, relayTime: time };
    return [{ kind: "put" as const, path, data: ended, updateTime }];
  });
  await store.commit(writes);
}

/** The same in an emulator. The libraries are loaded only now: a stack that begins anew starts the sooner. */
export async function endLeasesAt(emulator: string, projectId: string): Promise<void> {
  const { Firestore } = await import("@google-cloud/firestore");
  const { createStore } = await import("../../shared/firestore/store.ts");
  const [host = "", port] = emulator.split(":");
  const firestore = new Firestore({ projectId, host, port: Number(port), ssl: false });
  try {
    await endLeases(createStore(firestore), Date.now());
  } finally {
    await firestore.terminate();
  }
}
