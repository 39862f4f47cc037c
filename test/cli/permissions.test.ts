import { afterAll, beforeAll, expect, it } from "vitest";
import { deniedToRestore } from "../../infra/cli/instances/permissions.ts";
import { startValkey, type ValkeyServer } from "../../infra/local/valkey-server.ts";
import { send } from "../valkey/client.ts";
import { calm, instanceAt } from "../valkey/fixture.ts";

const backupGrants = ["+ping", "+info", "+psync", "+replconf", "+function|stats"];
const restoreGrants = [
  "+restore",
  "+select",
  "+function|load",
  "+client|setname",
  "+client|list",
  "+client|kill",
  "~*",
];

let server: ValkeyServer;
beforeAll(async () => {
  server = await startValkey({ version: "8.0" });
});
afterAll(() => server?.stop());

/** What a user with these rights, and that of asking, is told that it lacks. */
async function deniedTo(...rules: string[]) {
  await send(server.endpoint, ["ACL", "SETUSER", "loader", "reset", "on", ">sesame", "+acl|dryrun", ...rules]);
  const instance = instanceAt(server.endpoint, { authUser: "loader", authSecret: "secret" });
  return await deniedToRestore(instance, async () => "sesame", calm());
}

it("finds nothing lacking where everything is granted", async () => {
  const rules = [...backupGrants, ...restoreGrants, "+config|get", "+function|list"];
  expect(await deniedTo(...rules)).toEqual({ needed: [], useful: [] });
});

it("tells what a restore needs from what only its checks could use", async () => {
  expect(await deniedTo(...backupGrants, ...restoreGrants)).toEqual({
    needed: [],
    useful: ["config|get", "function|list"],
  });
  const { needed } = (await deniedTo(...backupGrants, "+restore", "~*")) ?? {};
  expect(needed).toEqual(["select", "function|load", "client|setname", "client|list", "client|kill"]);
});

it("is not known to a user who may not ask", async () => {
  expect(await deniedTo(...backupGrants, "-acl")).toBeUndefined();
});
