import { describe, expect, it } from "vitest";
import type { Backup } from "../../shared/backup/backup.ts";
import { backupName } from "../../shared/backup/name.ts";
import type { Operation } from "../../shared/backup/operation.ts";
import { StatusError } from "../../shared/error.ts";
import { submit } from "../../shared/pipeline/submit.ts";
import { registeredPair } from "./registered.ts";
import type { World } from "./world.ts";

const nightly = backupName("orders", "nightly");

/** The n-th commit goes through, or not, and is answered with an error; answers whether there was one. */
function answerAt(
  world: World,
  at: number,
  code: "ABORTED" | "RESOURCE_EXHAUSTED" | "UNAVAILABLE",
  isApplied: boolean,
): () => boolean {
  const { store } = world.ports;
  const commit = store.commit.bind(store);
  let calls = 0;
  store.commit = async (writes) => {
    const isHere = calls++ === at;
    if (!isHere || isApplied) await commit(writes);
    if (isHere) throw new StatusError(code, "answered with an error");
  };
  return () => calls > at;
}

describe.each(["ABORTED", "RESOURCE_EXHAUSTED", "UNAVAILABLE"] as const)("a commit that is answered %s", (code) => {
  it.each([true, false])("and was applied: %s, disturbs neither a backup nor its restore", async (isApplied) => {
    for (let at = 0; ; at++) {
      const world = await registeredPair(2, 4);
      const isMet = answerAt(world, at, code, isApplied);
      await world.events.publish({
        type: "backup.v1.requested",
        data: { instance: "orders", backupId: "nightly", requestId: "r" },
        attributes: {},
      });
      await world.settle();
      expect({ at, state: (await world.ports.store.get<Backup>(nightly))?.data.state }).toEqual({
        at,
        state: "ACTIVE",
      });
      await world.events.publish({
        type: "restore.v1.requested",
        data: { instance: "copy", backup: nightly, allowShrink: true, requestId: "r" },
        attributes: {},
      });
      await world.settle();
      const operations = await world.ports.store.query<Operation>({ collection: "operations" });
      expect(operations.map(({ data }) => [data.verb, data.done, data.error, data.holds])).toEqual([
        ["backup", true, undefined, []],
        ["restore", true, undefined, []],
      ]);
      expect(await world.ports.store.query({ collection: "outbox" })).toEqual([]);
      if (!isMet()) break;
    }
  });
});

it("a request that cannot be put down says what the store answered, not that something keeps changing", async () => {
  const { ports } = await registeredPair(1, 1);
  ports.store.commit = async () => {
    throw new StatusError("UNAVAILABLE", "Firestore is away");
  };
  await expect(submit(ports, "sweep.v1.requested", {})).rejects.toMatchObject({
    code: "UNAVAILABLE",
    message: expect.stringMatching(/^operations\/sweep-.* could not be begun: Firestore is away; try again$/),
  });
});
