import type { Instance } from "../../shared/backup/backup.ts";
import { keyName, type MemoryServer } from "../../shared/memory/valkey.ts";
import { encodeString } from "../../shared/rdb/writer.ts";
import { createWorld, instanceOf, type World } from "./world.ts";

/** A world in which one instance is registered, and its server runs. */
export async function registered(instance = instanceOf("orders", "127.0.0.1:7001")): Promise<World> {
  const world = createWorld();
  world.valkey.start(instance.endpoint);
  await register(world, instance);
  return world;
}

/** A world with two of them: `orders`, with so many keys in so many shards, and the empty `copy`. */
export async function registeredPair(shards: number, keys: number): Promise<World> {
  const world = createWorld();
  fill(world.valkey.start("127.0.0.1:7001", shards), keys);
  world.valkey.start("127.0.0.1:7002");
  await register(world, instanceOf("orders", "127.0.0.1:7001"), instanceOf("copy", "127.0.0.1:7002"));
  return world;
}

/** Spreads so many keys over the shards of a server: `key-0`, `key-1` … */
export function fill({ shards }: MemoryServer, keys: number): void {
  const value = Uint8Array.from(encodeString("v"));
  for (let n = 0; n < keys; n++)
    shards[n % shards.length]?.set(keyName(0, `key-${n}`), { type: 0, expireTimeMs: -1, value });
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
