import { setTimeout as sleep } from "node:timers/promises";
import { expect, it } from "vitest";
import { sideBySide } from "../../shared/valkey/side-by-side.ts";

it("answers come in the order of the items, whoever is first", async () => {
  const items = Array.from({ length: 40 }, (_, n) => n);
  expect(await sideBySide(items, (n) => sleep(40 - n, 2 * n))).toEqual(items.map((n) => 2 * n));
});

it("a failure is thrown only once nothing of the others goes on, and begins no more", async () => {
  let begun = 0;
  let ended = 0;
  const work = async (n: number) => {
    begun++;
    await sleep(n === 3 ? 5 : 30);
    if (n === 3) throw new Error("the third");
    ended++;
  };
  const items = Array.from({ length: 100 }, (_, n) => n);
  await expect(sideBySide(items, work)).rejects.toThrow("the third");
  expect([begun, ended]).toEqual([16, 15]);
});
