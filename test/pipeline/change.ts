import type { World } from "./world.ts";

/** Changes fields of a document. */
export async function change<T extends object>(world: World, path: string, fields: Partial<T>): Promise<void> {
  const doc = await world.ports.store.get<T>(path);
  if (doc === undefined) throw new Error(`there is no ${path}`);
  await world.ports.store.commit([{ kind: "put", path, data: { ...doc.data, ...fields }, updateTime: doc.updateTime }]);
}
