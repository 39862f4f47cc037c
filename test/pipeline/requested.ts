import type { EventMap, EventType } from "../../shared/backup/event.ts";
import type { Operation, Verb } from "../../shared/backup/operation.ts";
import type { World } from "./world.ts";

/** Publishes it and lets the system come to rest; what is asked for next comes a second later. */
export async function requested(world: World, type: EventType, data: object): Promise<void> {
  await world.events.publish({ type, data, attributes: {} });
  await world.settle();
  await world.clock.advance(1_000);
}

/** The same, and answers the Operation that was begun. */
export async function begun(world: World, type: EventType, data: object): Promise<Operation> {
  const before = new Set((await operationsOf(world)).map(({ name }) => name));
  await requested(world, type, data);
  const found = (await operationsOf(world)).find(({ name, request }) => !before.has(name) && request.type === type);
  if (found === undefined) throw new Error("no operation was begun");
  return found;
}

/** Publishes a request and delivers its first message alone; answers its Operation. What others wait for is left to `relay`. */
export async function first<T extends EventType>(
  world: World,
  type: T,
  data: EventMap[T],
): Promise<Operation | undefined> {
  const before = new Set((await operationsOf(world)).map(({ name }) => name));
  world.events.take();
  await world.events.publish({ type, data, attributes: {} });
  for (const message of world.events.take()) await world.deliver(message);
  return (await operationsOf(world)).find(({ name }) => !before.has(name));
}

/** Every Operation, or those of one verb. */
export async function operationsOf({ ports: { store } }: World, verb?: Verb): Promise<Operation[]> {
  const found = await store.query<Operation>({
    collection: "operations",
    ...(verb !== undefined && { where: [["verb", "==", verb]] }),
  });
  return found.map(({ data }) => data);
}
