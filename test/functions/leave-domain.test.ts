import { create } from "node:domain";
import { expect, it } from "vitest";
import { leaveDomain } from "../../functions/leave-domain.ts";

const current = (): unknown => (process as { domain?: unknown }).domain ?? undefined;

it("what follows in a delivery is outside of its domain, and its caller still within", async () => {
  const domain = create();
  const seen = await domain.run(async () => {
    await Promise.resolve();
    const before = current();
    const within = await (async () => {
      leaveDomain();
      const now = current();
      await new Promise((resolve) => setTimeout(resolve, 1));
      return [now, current()];
    })();
    return { before, within };
  });
  expect(seen).toEqual({ before: domain, within: [undefined, undefined] });
});

it("nothing happens where there is no domain", () => {
  leaveDomain();
  expect(current()).toBeUndefined();
});
