import { expect, it } from "vitest";
import { StatusError } from "../../shared/error.ts";
import { addressOf } from "../../shared/valkey/address.ts";
import { patienceOf, save } from "../../shared/valkey/volume/save.ts";
import { calm, instanceAt } from "./fixture.ts";

it("a save is not waited for for ever where the server goes on saving for somebody else", async () => {
  const info = "redis_version:7.2.4\r\nrole:master\r\nrdb_saves:7\r\nrdb_bgsave_in_progress:1\r\n";
  const ask = async (command: string) => {
    if (command === "BGSAVE") throw new StatusError("ABORTED", "it is saving already");
    return info;
  };
  const address = await addressOf(instanceAt("10.0.0.3:6379"), async () => "");
  const saving = save(ask, address, calm(), patienceOf(address, 50), async () => undefined);
  await expect(saving).rejects.toMatchObject({
    code: "UNAVAILABLE",
    message: expect.stringContaining("is still saving after 0.05 s"),
  });
});
