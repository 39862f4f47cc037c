import type { Finding } from "../../shared/backup/finding.ts";
import { registered } from "./registered.ts";
import { instanceOf, type World } from "./world.ts";

export const endpoint = "127.0.0.1:7001";
export const orders = "instances/orders";

/** A world in good order: an instance with its server, its job and a backup; the jobs that everything rests on. */
export async function inOrder(): Promise<World> {
  const world = await registered(instanceOf("orders", endpoint));
  const job = { timeZone: "Etc/UTC", data: {}, state: "ENABLED" as const };
  await world.ports.scheduler.put({ ...job, id: "valkeep-tick", cron: "* * * * *", type: "tick.v1" });
  await world.ports.scheduler.put({ ...job, id: "valkeep-sweep", cron: "17 * * * *", type: "sweep.v1.requested" });
  const type = "reconciliation.v1.requested" as const;
  await world.ports.scheduler.put({ ...job, id: "valkeep-reconciliation", cron: "13,43 * * * *", type });
  await ask(world, "instance.v1.changed");
  await ask(world, "backup.v1.requested");
  return world;
}

/** Asks it of the instance, and waits for the end. */
export async function ask(world: World, type: "instance.v1.changed" | "backup.v1.requested"): Promise<void> {
  await world.events.publish({ type, data: { instance: "orders" }, attributes: {} });
  await world.settle();
}

/** The findings that are open. */
export async function open(world: World): Promise<Finding[]> {
  const found = await world.ports.store.query<Finding>({ collection: "findings", where: [["state", "==", "OPEN"]] });
  return found.map(({ data }) => data);
}

/** `bgsave-failed instances/orders`, for each finding that is open. */
export const openKinds = async (world: World): Promise<string[]> =>
  (await open(world)).map(({ kind, resource }) => `${kind} ${resource}`).sort();

/** What was told, in its order, each alert once however often its message came. */
export function alerts(world: World): string[] {
  const told = world.events.messages.filter(({ type }) => type.startsWith("alert."));
  const byId = new Map(told.map(({ attributes, type, data }) => [attributes.id, { type, data }]));
  return [...byId.values()].map(({ type, data }) => {
    const { kind, resource, severity } = data as Finding;
    return `${type === "alert.v1.raised" ? "raised" : "cleared"} ${kind} ${resource} ${severity}`;
  });
}
