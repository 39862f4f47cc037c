import type { Instance } from "../../shared/backup/backup.ts";
import { createWorld, instanceOf, type World } from "./world.ts";

/** A world in which one instance is registered, and its server runs. */
export async function registered(instance = instanceOf("orders", "127.0.0.1:7001")): Promise<World> {
  const world = createWorld();
  world.valkey.start(instance.endpoint);
  await register(world, instance);
  return world;
}

/** Puts instances down, as if each had been registered. */
export async function register(world: World, ...instances: Instance[]): Promise<void> {
  for (const instance of instances)
    await world.ports.store.commit([{ kind: "create", path: instance.name, data: instance }]);
}

/** The instance `orders` with its schedule off: it has the backups that are asked for. */
export function unscheduled(): Instance {
  const instance = instanceOf("orders", "127.0.0.1:7001");
  return {
    ...instance,
    automatedBackupConfig: { ...instance.automatedBackupConfig, automatedBackupMode: "DISABLED" },
  };
}
