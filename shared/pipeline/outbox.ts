import { outboxCollection } from "./change.ts";
import type { Outgoing } from "./commit.ts";
import type { Ports } from "./ports.ts";

/** Publishes what a commit left in the outbox and clears it. What is not published here, `relay` publishes later. */
export async function publish(outgoing: Outgoing, { events, store }: Ports): Promise<void> {
  for (const { id, entry } of outgoing) {
    const { type, data, attributes } = entry;
    await events.publish({ type, data, attributes });
    await store.commit([{ kind: "remove", path: `${outboxCollection}/${id}` }]);
  }
}
