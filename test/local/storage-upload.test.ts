import { createHash } from "node:crypto";
import { readdir, stat } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { expect, it } from "vitest";
import { until } from "./processes.ts";
import {
  begin,
  crc32cOf,
  type Harness,
  harness,
  kib256,
  messageOf,
  objectUrl,
  put,
  send,
  someBytes,
} from "./storage-harness.ts";

const md5Of = (bytes: Buffer) => createHash("md5").update(bytes).digest("base64");

const modes = {
  multipart: { resumable: false },
  "single-request": { resumable: true },
  chunked: { resumable: true, chunkSize: kib256 },
};

for (const [mode, options] of Object.entries(modes)) {
  it.each([
    0,
    1,
    kib256 - 1,
    kib256,
    kib256 + 1,
    3 * kib256,
    1_000_003,
  ])(`keeps %i bytes of a ${mode} upload of the client library`, async (size) => {
    await using server = await harness();
    const bytes = someBytes(size);
    const file = server.client.bucket("bucket").file("object");
    await file.save(bytes, { ...options, contentType: "text/plain", metadata: { metadata: { operation: "op-1" } } });
    const [metadata] = await file.getMetadata();
    const expected = {
      size: String(size),
      crc32c: crc32cOf(bytes),
      md5Hash: md5Of(bytes),
      contentType: "text/plain",
      metadata: { operation: "op-1" },
      metageneration: "1",
    };
    expect(metadata).toMatchObject(expected);
    expect((await file.download())[0].equals(bytes)).toBe(true);
  });
}

it("tells how far a session has come, before its first byte and after it", async () => {
  await using server = await harness();
  const uri = await begin(server.url, "object");
  const before = await put(uri, "*/*");
  expect([before.status, before.headers.get("range")]).toEqual([308, null]);
  const chunk = await put(uri, `0-${kib256 - 1}/*`, someBytes(kib256));
  expect([chunk.status, chunk.headers.get("range")]).toEqual([308, `bytes=0-${kib256 - 1}`]);
  const after = await put(uri, "*/*");
  expect([after.status, after.headers.get("range")]).toEqual([308, `bytes=0-${kib256 - 1}`]);
});

it("shows no object before its last byte", async () => {
  await using server = await harness();
  const uri = await begin(server.url, "object");
  await put(uri, `0-${kib256 - 1}/*`, someBytes(kib256));
  expect((await send(objectUrl(server.url, "object"))).status).toBe(404);
});

it("goes on with a session after a restart, and the checksum is that of the whole object", async () => {
  await using server = await harness();
  const bytes = someBytes(kib256 + 7);
  const uri = await begin(server.url, "object");
  await put(uri, `0-${kib256 - 1}/*`, bytes.subarray(0, kib256));
  await server.restart();
  const moved = server.url + uri.slice(new URL(uri).origin.length);
  expect((await put(moved, "*/*")).headers.get("range")).toBe(`bytes=0-${kib256 - 1}`);
  const last = await put(moved, `${kib256}-${kib256 + 6}/${kib256 + 7}`, bytes.subarray(kib256), {
    "x-goog-hash": `crc32c=${crc32cOf(bytes)}`,
  });
  expect([last.status, last.json.crc32c]).toEqual([200, crc32cOf(bytes)]);
});

it("keeps what arrived of a chunk whose client died, up to a multiple of 256 KiB", async () => {
  await using server = await harness();
  const bytes = someBytes(4 * kib256);
  const uri = await begin(server.url, "object");
  const socket = await sendPart(server, uri, bytes, 2 * kib256 + 1000);
  socket.resetAndDestroy();
  const status = await put(uri, "*/*");
  expect([status.status, status.headers.get("range")]).toEqual([308, `bytes=0-${2 * kib256 - 1}`]);
  const rest = await put(uri, `${2 * kib256}-${bytes.length - 1}/${bytes.length}`, bytes.subarray(2 * kib256));
  expect([rest.status, rest.json.crc32c]).toEqual([200, crc32cOf(bytes)]);
});

it("lets a later request take over a session from one that hangs", async () => {
  await using server = await harness();
  const uri = await begin(server.url, "object");
  const socket = await sendPart(server, uri, someBytes(4 * kib256), 2 * kib256 + 1);
  const closed = new Promise((resolve) => socket.once("close", resolve));
  expect((await put(uri, "*/*")).headers.get("range")).toBe(`bytes=0-${2 * kib256 - 1}`);
  await closed;
});

/** Sends a PUT of all bytes and only some of them; resolves once the server has put the first 512 KiB into its file. */
async function sendPart(server: Harness, uri: string, bytes: Buffer, part: number): Promise<Socket> {
  const { host, port, pathname, search } = new URL(uri);
  const socket = connect(Number(port), "127.0.0.1").on("error", () => socket.destroy());
  const range = `bytes 0-${bytes.length - 1}/${bytes.length}`;
  const headers = [`Host: ${host}`, `Content-Length: ${bytes.length}`, `Content-Range: ${range}`];
  socket.write(`PUT ${pathname}${search} HTTP/1.1\r\n${headers.join("\r\n")}\r\n\r\n`);
  socket.write(bytes.subarray(0, part));
  const [id = ""] = await readdir(join(server.directory, "bytes"));
  await until(async () => (await stat(join(server.directory, "bytes", id))).size >= 2 * kib256);
  return socket;
}

it("refuses a chunk under 256 KiB that is not the last", async () => {
  await using server = await harness();
  const answer = await put(await begin(server.url, "object"), "0-999/*", someBytes(1000));
  expect([answer.status, messageOf(answer)]).toEqual([400, expect.stringContaining("equal or greater than 262144")]);
});

it("keeps only whole multiples of 256 KiB of a chunk that is not the last", async () => {
  await using server = await harness();
  const uri = await begin(server.url, "object");
  const answer = await put(uri, `0-${kib256 + 99}/*`, someBytes(kib256 + 100));
  expect([answer.status, answer.headers.get("range")]).toEqual([308, `bytes=0-${kib256 - 1}`]);
});

it("refuses a chunk that leaves a gap", async () => {
  await using server = await harness();
  const answer = await put(await begin(server.url, "object"), `${kib256}-${2 * kib256 - 1}/*`, someBytes(kib256));
  expect([answer.status, messageOf(answer)]).toEqual([400, expect.stringContaining("only 0 bytes were received")]);
});

it("passes over bytes that it already has", async () => {
  await using server = await harness();
  const bytes = someBytes(kib256 + 10);
  const uri = await begin(server.url, "object");
  await put(uri, `0-${kib256 - 1}/*`, bytes.subarray(0, kib256));
  const again = await put(uri, `0-${bytes.length - 1}/${bytes.length}`, bytes);
  expect([again.status, again.json.crc32c]).toEqual([200, crc32cOf(bytes)]);
});

it("completes an upload whose size is told only at the end", async () => {
  await using server = await harness();
  const uri = await begin(server.url, "object");
  await put(uri, `0-${kib256 - 1}/*`, someBytes(kib256));
  expect((await put(uri, `*/${kib256}`)).status).toBe(200);
});

it("takes a whole object in a PUT without Content-Range", async () => {
  await using server = await harness();
  const answer = await send(await begin(server.url, "object"), "PUT", { body: "hello" });
  expect([answer.status, answer.json.size]).toEqual([200, "5"]);
});

it("refuses a body that is not as long as its range says, and keeps nothing of it", async () => {
  await using server = await harness();
  const uri = await begin(server.url, "object");
  expect((await put(uri, "0-9/10", someBytes(9))).status).toBe(400);
  expect((await put(uri, "*/*")).headers.get("range")).toBeNull();
});

it("refuses a size other than the announced one", async () => {
  await using server = await harness();
  const path = `${server.url}/upload/storage/v1/b/bucket/o?uploadType=resumable&name=object`;
  const { headers } = await send(path, "POST", { headers: { "x-upload-content-length": "10" }, body: {} });
  expect((await put(headers.get("location") ?? "", "0-8/9", someBytes(9))).status).toBe(400);
});

it.each([
  "bytes 5-3/10",
  "bytes 0-10/10",
  "bytes a-b/c",
  "0-9/10",
  "bytes */-1",
])("refuses Content-Range %s", async (range) => {
  await using server = await harness();
  const uri = await begin(server.url, "object");
  expect((await send(uri, "PUT", { headers: { "content-range": range }, body: "x" })).status).toBe(400);
});

it("gives a finished session's answer again, after a restart too", async () => {
  await using server = await harness();
  const uri = await begin(server.url, "object");
  const { json } = await put(uri, "0-4/5", Buffer.from("hello"));
  expect((await put(uri, "*/*")).json).toEqual(json);
  await server.restart();
  expect((await put(server.url + uri.slice(new URL(uri).origin.length), "*/*")).json.generation).toBe(json.generation);
});

it("forgets a cancelled session and its bytes", async () => {
  await using server = await harness();
  const uri = await begin(server.url, "object");
  await put(uri, `0-${kib256 - 1}/*`, someBytes(kib256));
  expect((await send(uri, "DELETE")).status).toBe(499);
  expect((await put(uri, "*/*")).status).toBe(404);
  expect(await readdir(join(server.directory, "bytes"))).toEqual([]);
});
