import { once } from "node:events";
import { createServer } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { collect } from "../../shared/pipeline/stream.ts";
import { directoryFailure, readFailure } from "../../shared/valkey/volume/file-failure.ts";
import { readOnlyMount } from "../../shared/valkey/volume/room.ts";
import { saveRefusal } from "../../shared/valkey/volume/save-failure.ts";
import { calm, instanceAt, valkey } from "./fixture.ts";

describe("what the system says of a file or directory", () => {
  it.each([
    ["EACCES", "FAILED_PRECONDITION", /may not be read: grant user \d+/],
    ["EISDIR", "FAILED_PRECONDITION", /a directory, or something else that is no file, is in the place of/],
    ["ESTALE", "UNAVAILABLE", /was replaced while it was read/],
    ["EIO", "UNAVAILABLE", /cannot be read \(EIO\): see its mount/],
  ])("%s of the file is %s", (code, status, message) => {
    expect(readFailure("/mnt/dump.rdb", { code })).toMatchObject({
      code: status,
      message: expect.stringMatching(message),
    });
  });

  it.each([
    ["EACCES", "FAILED_PRECONDITION", /may not be looked into by user \d+/],
    ["ENOENT", "FAILED_PRECONDITION", /is not there: mount/],
    ["ETIMEDOUT", "UNAVAILABLE", /does not answer \(ETIMEDOUT\): see its mount/],
  ])("%s of the directory is %s", (code, status, message) => {
    expect(directoryFailure("/mnt", { code })).toMatchObject({ code: status, message: expect.stringMatching(message) });
  });
});

describe("a reply to BGSAVE", () => {
  it.each([
    ["ERR Background save already in progress", "ABORTED"],
    ["ERR Another child process is active (AOF?): can't BGSAVE right now", "ABORTED"],
    ["ERR", "UNAVAILABLE"],
    ["ERR Can't save in background: fork: Cannot allocate memory", "UNAVAILABLE"],
    ["ERR unknown command 'BGSAVE', with args beginning with: ", "FAILED_PRECONDITION"],
    ["NOPERM User backup has no permissions to run the 'bgsave' command", "PERMISSION_DENIED"],
    ["LOADING server is loading the dataset in memory", undefined],
  ])("%s is %s", (text, code) => {
    expect(saveRefusal("h:1", "backup", text)?.code).toBe(code);
  });
});

describe("a mount", () => {
  const mounts = [
    "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw",
    "30 22 0:41 / /mnt/data rw,relatime - ext4 /dev/sdb ro,errors=remount-ro",
    "31 22 0:42 / /mnt/for\\040us ro,relatime - nfs server:/ rw,vers=4",
    "32 22 0:43 / /mnt/data/again rw - tmpfs tmpfs rw",
  ].join("\n");

  it.each([
    ["/mnt/data", true],
    ["/mnt/data/inside", true],
    ["/mnt/data/again", false],
    ["/mnt/database", false],
    ["/mnt/for us", false],
    ["/elsewhere", false],
  ])("of %s that is read-only for everybody: %s", (path, isReadOnly) => {
    expect(readOnlyMount(mounts, path)).toBe(isReadOnly);
  });
});

describe("a server that names a file elsewhere", () => {
  let close = () => {};
  afterEach(() => close());

  it.each(["../../etc/passwd", "/etc/passwd", "..", ""])("is not believed: %j", async (fileName) => {
    const info = "redis_version:7.2.4\r\nrole:master\r\nrdb_saves:0\r\n";
    const bulk = (text: string) => `$${text.length}\r\n${text}\r\n`;
    const server = createServer((socket) => {
      socket.on("error", () => undefined);
      socket.on("data", (data) => {
        for (const [, command = ""] of data.toString().matchAll(/\r\n(PING|INFO|CONFIG)\r\n/g)) {
          const answers: Record<string, string> = { PING: "+PONG\r\n", INFO: bulk(info) };
          socket.write(answers[command] ?? `*2\r\n${bulk("name")}${bulk(fileName)}`);
        }
      });
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    close = () => server.close();
    const endpoint = `127.0.0.1:${(server.address() as { port: number }).port}`;
    const instance = instanceAt(endpoint, { snapshotMethod: "VOLUME", dataDirectory: "/tmp" });
    await expect(collect(valkey.snapshot(instance, { shard: 0 }, calm()))).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      message: expect.stringContaining("is no Valkey"),
    });
  });
});
