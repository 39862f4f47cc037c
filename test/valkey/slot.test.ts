import fc from "fast-check";
import { Valkey } from "iovalkey";
import { expect, it } from "vitest";
import { startValkey } from "../../infra/local/valkey-server.ts";
import { slotOf } from "../../shared/valkey/cluster/slot.ts";

it("the slot of a key is the one that a server says, braces or not", async () => {
  const server = await startValkey({ version: "8.0", args: ["--cluster-enabled", "yes"] });
  const client = new Valkey({ host: "127.0.0.1", port: server.port, enableReadyCheck: false });
  const byte = fc.oneof(fc.constantFrom(0x7b, 0x7d), fc.nat({ max: 255 }));
  const key = fc.array(byte, { maxLength: 40 }).map((bytes) => Buffer.from(bytes));
  try {
    const check = async (bytes: Buffer) => {
      const slot = await client.call("CLUSTER", ["KEYSLOT", bytes]);
      const within = Buffer.concat([Buffer.from("a{b}{"), bytes, Buffer.from("}c")]);
      expect([slotOf(bytes), slotOf(within, 5, 5 + bytes.length)]).toEqual([slot, slot]);
    };
    for (const text of ["", "{}", "{}a", "a{b}c", "{{b}}", "{open", "}{x}", "{a}{b}", "123456789"])
      await check(Buffer.from(text));
    await fc.assert(fc.asyncProperty(key, check), { numRuns: 2_000 });
  } finally {
    client.disconnect();
    await server.stop();
  }
});
