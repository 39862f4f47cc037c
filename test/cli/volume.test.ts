import { afterAll, beforeAll, expect, it } from "vitest";
import { volumeText } from "../../infra/cli/instances/check.ts";
import { lookAtVolume } from "../../infra/cli/instances/volume.ts";
import { startValkey, type ValkeyServer } from "../../infra/local/valkey-server.ts";
import { send } from "../valkey/client.ts";
import { calm, instanceAt } from "../valkey/fixture.ts";

let server: ValkeyServer;
beforeAll(async () => {
  server = await startValkey({ version: "8.0" });
});
afterAll(() => server?.stop());

/** What `instances check` tells of an instance with this data directory, asked as a user with these rights. */
async function told(dataDirectory: string, ...rules: string[]) {
  await send(server.endpoint, ["ACL", "SETUSER", "backup", "reset", "on", ">sesame", "+ping", ...rules]);
  const access = { authUser: "backup", authSecret: "secret" };
  const instance = instanceAt(server.endpoint, { snapshotMethod: "VOLUME", dataDirectory, ...access });
  return volumeText(instance, await lookAtVolume(instance, async () => "sesame", calm()));
}

it("tells where the server keeps its file, and that it is not there yet", async () => {
  const { state, message } = await told(server.directory, "+info", "+bgsave", "+config|get", "+acl|dryrun");
  expect(state).toBe("note");
  expect(message).toContain(`which writes ${server.directory}/dump.rdb;`);
  expect(message).toContain(`there is no dump.rdb in ${server.directory} yet`);
});

it("tells of a directory that is not mounted here, and where the server does not say where it saves", async () => {
  expect(await told("/mnt/nothing-here", "+info", "+bgsave")).toEqual({
    state: "note",
    message:
      "by BGSAVE, which writes dump.rdb in a directory that +config|get would tell; that directory has to be mounted at /mnt/nothing-here where the function snapshot runs. " +
      "Here: the data directory /mnt/nothing-here is not there: mount the server's data directory there, where the function `snapshot` runs",
  });
});

it("fails where the ACL lacks something", async () => {
  expect(await told(server.directory, "+info", "+acl|dryrun")).toEqual({
    state: "failed",
    message: "by BGSAVE; the ACL lacks +bgsave",
  });
});

it("is content with a file that can be read here, and saves nothing itself", async () => {
  await send(server.endpoint, ["SET", "key", "v"], ["SAVE"], ["CONFIG", "RESETSTAT"]);
  expect(await told(server.directory, "+info", "+bgsave", "+config|get", "+acl|dryrun")).toMatchObject({ state: "ok" });
  expect(String(await send(server.endpoint, ["INFO", "persistence"]))).toContain("rdb_saves:0");
});
