import type { World } from "./world.ts";

/** The names of a bucket's objects, in their order. */
export async function objectsOf(world: World, bucket: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { object } of world.ports.objects.list(bucket, "")) names.push(object);
  return names;
}
