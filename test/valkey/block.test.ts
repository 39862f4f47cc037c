import { expect, it } from "vitest";
import { BlockPool } from "../../shared/valkey/load/block.ts";
import { Gate } from "../../shared/valkey/load/gate.ts";
import { Watermark } from "../../shared/valkey/load/watermark.ts";

const { span } = new Watermark(() => undefined);

it.each([
  1, 3, 250,
])("a load into %i nodes rests only while a block for each of them might find no room", async (nodes) => {
  const pool = new BlockPool(nodes, new Gate());
  const blocks = [];
  while (pool.rest() === undefined) blocks.push(pool.take(1, span));
  const most = Math.min(32, nodes * 6) * 1024 * 1024;
  const room = most - blocks.length * pool.blockBytes;
  expect(room).toBeLessThan(nodes * pool.blockBytes);
  expect(room).toBeGreaterThanOrEqual((nodes - 1) * pool.blockBytes);
  const resting = pool.rest();
  for (const block of blocks.slice(0, nodes)) pool.giveBack(block);
  await resting;
  expect(pool.rest()).toBeUndefined();
});

it("a load that has taken a block longer than all others together rests until that is answered", async () => {
  const pool = new BlockPool(1, new Gate());
  const large = pool.take(8 * 1024 * 1024, span);
  const resting = pool.rest();
  expect(resting).toBeInstanceOf(Promise);
  pool.giveBack(large);
  await resting;
});
