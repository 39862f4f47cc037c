import { afterEach, expect, it } from "vitest";
import {
  begin,
  crc32cOf,
  type Harness,
  harness,
  kib256,
  multipart,
  objectUrl,
  put,
  send,
  someBytes,
} from "./storage-harness.ts";

const stopped: AbortController[] = [];
afterEach(() => {
  for (const controller of stopped.splice(0)) controller.abort();
});

async function arm(server: Harness, fault: object): Promise<void> {
  const { status, body } = await send(`${server.url}/_faults`, "POST", { body: fault });
  if (status !== 200) throw new Error(body.toString());
}

it("answers with a status as often as asked, and only what matches", async () => {
  await using server = await harness();
  await multipart(server.url, "object", Buffer.from("hello"));
  await arm(server, { match: { method: "get", pathIncludes: "/o/object" }, times: 2, kind: "status", status: 429 });
  const statuses: number[] = [];
  for (let round = 0; round < 3; round++) {
    statuses.push(
      (await send(`${server.url}/storage/v1/b/bucket`)).status,
      (await send(objectUrl(server.url, "object"))).status,
    );
  }
  expect(statuses).toEqual([200, 429, 200, 429, 200, 200]);
});

it("matches a name as it reads, not as it is escaped", async () => {
  await using server = await harness();
  await arm(server, { match: { pathIncludes: "orders/1.rdb" }, kind: "status" });
  expect((await send(objectUrl(server.url, "orders/1.rdb"))).status).toBe(503);
});

it("shows what is armed, and disarms", async () => {
  await using server = await harness();
  await arm(server, { match: { upload: true }, kind: "reset", afterBytes: 5, times: 3 });
  const shown = await send(`${server.url}/_faults`);
  expect(JSON.parse(shown.body.toString())).toEqual([
    expect.objectContaining({ kind: "reset", afterBytes: 5, times: 3 }),
  ]);
  await send(`${server.url}/_faults`, "DELETE");
  expect(JSON.parse((await send(`${server.url}/_faults`)).body.toString())).toEqual([]);
});

it("refuses a fault that it does not understand", async () => {
  await using server = await harness();
  expect((await send(`${server.url}/_faults`, "POST", { body: { kind: "explode" } })).status).toBe(400);
  expect((await send(`${server.url}/_faults`, "POST", { body: { kind: "reset", match: { paths: "x" } } })).status).toBe(
    400,
  );
});

it("resets an upload after so many bytes, and keeps the multiple of 256 KiB before", async () => {
  await using server = await harness();
  const bytes = someBytes(4 * kib256);
  const uri = await begin(server.url, "object");
  await arm(server, { match: { method: "PUT", upload: true }, kind: "reset", afterBytes: kib256 + 5 });
  await expect(put(uri, `0-${bytes.length - 1}/${bytes.length}`, bytes)).rejects.toThrow();
  expect((await put(uri, "*/*")).headers.get("range")).toBe(`bytes=0-${kib256 - 1}`);
  const rest = await put(uri, `${kib256}-${bytes.length - 1}/${bytes.length}`, bytes.subarray(kib256));
  expect(rest.json.crc32c).toBe(crc32cOf(bytes));
});

it("stalls an upload until its client asks again", async () => {
  await using server = await harness();
  const bytes = someBytes(2 * kib256);
  const uri = await begin(server.url, "object");
  await arm(server, { match: { upload: true }, kind: "stall", afterBytes: kib256 });
  const stalled = put(uri, `0-${bytes.length - 1}/${bytes.length}`, bytes).catch(() => "broken off");
  while (JSON.parse((await send(`${server.url}/_faults`)).body.toString()).length > 0);
  expect((await put(uri, "*/*")).headers.get("range")).toBe(`bytes=0-${kib256 - 1}`);
  expect(await stalled).toBe("broken off");
});

it("changes a byte of an upload, which a stated hash then finds", async () => {
  await using server = await harness();
  const bytes = someBytes(1000);
  await arm(server, { match: { method: "PUT" }, kind: "corrupt", afterBytes: 500 });
  const headers = { "x-goog-hash": `crc32c=${crc32cOf(bytes)}` };
  expect((await put(await begin(server.url, "object"), "0-999/1000", bytes, headers)).status).toBe(400);
});

it("changes one byte of a read once, and the stored bytes not at all", async () => {
  await using server = await harness();
  const bytes = someBytes(2_000_000);
  await multipart(server.url, "object", bytes);
  await arm(server, { match: { media: true }, kind: "corrupt", afterBytes: 1_500_000 });
  const first = (await send(objectUrl(server.url, "object", "?alt=media"))).body;
  const differences = [...first.keys()].filter((at) => first[at] !== bytes[at]);
  expect(differences).toEqual([1_500_000]);
  expect((await send(objectUrl(server.url, "object", "?alt=media"))).body.equals(bytes)).toBe(true);
});

it("is found out by the client library when it changes a byte", async () => {
  await using server = await harness();
  await multipart(server.url, "object", someBytes(1000));
  await arm(server, { match: { media: true }, kind: "corrupt", afterBytes: 999 });
  const file = server.client.bucket("bucket").file("object");
  await expect(file.download()).rejects.toMatchObject({ code: "CONTENT_DOWNLOAD_MISMATCH" });
});

it("resets a read in the middle", async () => {
  await using server = await harness();
  await multipart(server.url, "object", someBytes(3_000_000));
  await arm(server, { match: { media: true }, kind: "reset", afterBytes: 1_000_000 });
  await expect(send(objectUrl(server.url, "object", "?alt=media"))).rejects.toThrow();
});

it("stalls a read after exactly so many bytes", async () => {
  await using server = await harness();
  const bytes = someBytes(3_000_000);
  await multipart(server.url, "object", bytes);
  await arm(server, { match: { media: true }, kind: "stall", afterBytes: 1_000_000 });
  const controller = new AbortController();
  stopped.push(controller);
  const answer = await fetch(objectUrl(server.url, "object", "?alt=media"), { signal: controller.signal });
  const reader = answer.body?.getReader();
  let read = 0;
  while (read < 1_000_000) read += (await reader?.read())?.value?.length ?? 0;
  expect(read).toBe(1_000_000);
});

it("stalls a request without a body until the server stops", async () => {
  const server = await harness();
  await arm(server, { match: { pathIncludes: "/o/object" }, kind: "stall" });
  const stalled = send(objectUrl(server.url, "object")).catch(() => "broken off");
  while (JSON.parse((await send(`${server.url}/_faults`)).body.toString()).length > 0);
  await server[Symbol.asyncDispose]();
  expect(await stalled).toBe("broken off");
});
