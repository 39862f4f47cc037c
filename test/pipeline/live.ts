import type { EventMap } from "../../shared/backup/event.ts";
import { backupName, isUndoList, selectionObject } from "../../shared/backup/name.ts";
import type { Operation } from "../../shared/backup/operation.ts";
import { StatusError } from "../../shared/error.ts";
import { keyName, type MemoryServer } from "../../shared/memory/valkey.ts";
import { once } from "../../shared/pipeline/stream.ts";
import { encodeString } from "../../shared/rdb/writer.ts";
import { register } from "./registered.ts";
import { begun, requested } from "./requested.ts";
import { createWorld, instanceOf, vault, type World } from "./world.ts";

type Request = EventMap["selection.v1.requested"];

export const nightly = backupName("orders", "nightly");

/** A key of a keyspace: its name, its text, and when it expires, milliseconds since 1970. */
export interface Key {
  db?: number;
  name: string;
  text: string;
  expireTimeMs?: number;
}

/** What a server holds, by database and name. */
export type Keyspace = Record<string, { text: string; expireTimeMs: number }>;

/** A world with a backup of a server that held these keys, and the live `copy`, which holds those. */
export async function withLive(backedUp: readonly Key[], live: readonly Key[]): Promise<World> {
  const world = createWorld();
  put(world.valkey.start("127.0.0.1:7001"), backedUp);
  put(world.valkey.start("127.0.0.1:7002"), live);
  await register(world, instanceOf("orders", "127.0.0.1:7001"), instanceOf("copy", "127.0.0.1:7002"));
  await requested(world, "backup.v1.requested", { instance: "orders", backupId: "nightly" });
  return world;
}

export function put({ shards: [shard] }: MemoryServer, keys: readonly Key[]): void {
  for (const { db = 0, name, text, expireTimeMs = -1 } of keys)
    shard?.set(keyName(db, name), { type: 0, expireTimeMs, value: Uint8Array.from(encodeString(text)) });
}

export function liveServer(world: World): MemoryServer {
  const found = world.valkey.servers.get("127.0.0.1:7002");
  if (found === undefined) throw new Error("nobody answers at the live instance");
  return found;
}

/** What the live instance holds now. */
export function heldBy(world: World): Keyspace {
  const held = [...(liveServer(world).shards[0] ?? [])].map(([name, { value, expireTimeMs }]) => {
    const [db = "", hex = ""] = name.split(":");
    return [`${db}:${Buffer.from(hex, "hex")}`, { text: Buffer.from(value).subarray(1).toString(), expireTimeMs }];
  });
  return Object.fromEntries(held.sort());
}

/** Puts a pattern into the vault; answers the object that a request names. */
export async function patternIn(world: World, keys: string): Promise<string> {
  const id = world.ports.ids.uuid();
  const object = selectionObject(id);
  const bytes = Buffer.from(JSON.stringify({ keys }));
  await world.ports.objects.create(vault, object, once(bytes), { selection: id });
  return object;
}

/** Asks for the keys of a pattern, lets the system come to rest, and answers the Operation. */
export async function askKeys(world: World, keys: string, data: Partial<Request> = {}): Promise<Operation> {
  const selection = await patternIn(world, keys);
  return await begun(world, "selection.v1.requested", { instance: "copy", backup: nightly, selection, ...data });
}

/** Asks to take back what an Operation has done. */
export async function undo(world: World, { name }: Operation, data: object = {}): Promise<Operation> {
  return await begun(world, "undo.v1.requested", { restore: name, execute: true, ...data });
}

/** Somebody else writes these keys as soon as the vault tells what a restore is about to write: between its look and its write. */
export function writtenBetween(world: World, keys: readonly Key[]): void {
  const { create } = world.ports.objects;
  world.ports.objects.create = async (bucket, object, ...rest) => {
    const info = await create(bucket, object, ...rest);
    if (isUndoList(object)) put(liveServer(world), keys);
    return info;
  };
}

/** The first keys are written, but nobody hears of it. */
export function losingFirstAnswer(world: World, meanwhile: () => void = () => undefined): void {
  const { exchange } = world.ports.valkey;
  world.ports.valkey.exchange = async (...args) => {
    await exchange(...args);
    world.ports.valkey.exchange = exchange;
    meanwhile();
    throw new StatusError("UNAVAILABLE", "the answer was lost");
  };
}
