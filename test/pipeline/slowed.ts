import type { World } from "./world.ts";

/** Reading files takes so long between two pieces that the clock goes on meanwhile. */
export function slowed(world: World, milliseconds: number): { start: number; object: string }[] {
  const reads: { start: number; object: string }[] = [];
  const read = world.ports.objects.read.bind(world.ports.objects);
  world.ports.objects.read = async function* (of, range, signal) {
    reads.push({ start: range?.start ?? 0, object: of.object });
    for await (const piece of read(of, range, signal)) {
      if (of.object.endsWith(".rdb")) await world.clock.sleep(milliseconds, signal);
      yield piece;
    }
  };
  return reads;
}
