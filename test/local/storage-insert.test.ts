import { createHash } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { readMultipart } from "../../infra/local/storage/multipart.ts";
import {
  begin,
  crc32cOf,
  harness,
  kib256,
  messageOf,
  multipart,
  objectUrl,
  put,
  reasonOf,
  send,
} from "./storage-harness.ts";

const md5Of = (bytes: Buffer) => createHash("md5").update(bytes).digest("base64");

const hello = Buffer.from("hello");
const wrong = { crc32c: crc32cOf(Buffer.from("other")), md5Hash: md5Of(Buffer.from("other")) };

it.each([
  ["crc32c", `crc32c=${wrong.crc32c}`],
  ["md5", `md5=${wrong.md5Hash}`],
  ["md5 beside a right crc32c", `crc32c=${crc32cOf(hello)},md5=${wrong.md5Hash}`],
  ["hash it does not know", "sha256=AAAA"],
])("refuses a last chunk with a wrong %s in X-Goog-Hash, and makes no object", async (_, hash) => {
  await using server = await harness();
  const uri = await begin(server.url, "object");
  const answer = await put(uri, "0-4/5", hello, { "x-goog-hash": hash });
  expect([answer.status, reasonOf(answer)]).toEqual([400, "invalid"]);
  expect((await send(objectUrl(server.url, "object"))).status).toBe(404);
  expect(await readdir(join(server.directory, "bytes"))).toEqual([]);
});

it("takes a last chunk with right hashes", async () => {
  await using server = await harness();
  const headers = { "x-goog-hash": `crc32c=${crc32cOf(hello)},md5=${md5Of(hello)}` };
  expect((await put(await begin(server.url, "object"), "0-4/5", hello, headers)).status).toBe(200);
});

it.each(Object.entries(wrong))("refuses an insert whose metadata states a wrong %s", async (field, value) => {
  await using server = await harness();
  const session = await begin(server.url, "object", "", { [field]: value });
  const answers = [
    await put(session, "0-4/5", hello),
    await multipart(server.url, "object", hello, "", { [field]: value }),
  ];
  expect(answers.map(({ status }) => status)).toEqual([400, 400]);
  expect((await send(objectUrl(server.url, "object"))).status).toBe(404);
});

it("keeps a multipart upload's bytes even if they look like a boundary", async () => {
  await using server = await harness();
  const tricky = Buffer.from("\r\n--cu\r\n--\r\n\n--cut--\r\r\n--cu");
  await multipart(server.url, "object", tricky);
  expect((await send(objectUrl(server.url, "object", "?alt=media"))).body).toEqual(tricky);
});

it("reads a multipart body cut at every place", async () => {
  const body = Buffer.from(
    '--cut\r\nContent-Type: a/b\r\n\r\n{"name":"x"}\r\n--cut\r\nContent-Type: c/d\r\n\r\n\r\n--cu\r\n--cut--',
  );
  for (let at = 0; at <= body.length; at++) {
    const { metadata, contentType, media } = await readMultipart(inTwo(body, at), "multipart/related; boundary=cut");
    const chunks: Buffer[] = [];
    for await (const chunk of media) chunks.push(chunk);
    expect([metadata, contentType, Buffer.concat(chunks).toString()]).toEqual([{ name: "x" }, "c/d", "\r\n--cu"]);
  }
});

async function* inTwo(body: Buffer, at: number): AsyncGenerator<Buffer> {
  yield body.subarray(0, at);
  yield body.subarray(at);
}

it("makes no object of a multipart body that ends before its closing boundary", async () => {
  await using server = await harness();
  const answer = await send(`${server.url}/upload/storage/v1/b/bucket/o?uploadType=multipart`, "POST", {
    headers: { "content-type": "multipart/related; boundary=cut" },
    body: '--cut\r\n\r\n{"name":"object"}\r\n--cut\r\n\r\nhalf of it',
  });
  expect([answer.status, messageOf(answer)]).toEqual([400, expect.stringContaining("closing boundary")]);
  expect((await send(objectUrl(server.url, "object"))).status).toBe(404);
  expect(await readdir(join(server.directory, "bytes"))).toEqual([]);
});

it("refuses a session at its start if its precondition does not hold", async () => {
  await using server = await harness();
  await multipart(server.url, "object", hello);
  const path = `${server.url}/upload/storage/v1/b/bucket/o?uploadType=resumable&name=object&ifGenerationMatch=0`;
  const answer = await send(path, "POST", { body: {} });
  expect([answer.status, reasonOf(answer)]).toEqual([412, "conditionNotMet"]);
});

it("refuses a session at its end if its precondition no longer holds, and says so again when asked", async () => {
  await using server = await harness();
  const uri = await begin(server.url, "object", "&ifGenerationMatch=0");
  await multipart(server.url, "object", hello);
  const late = await put(uri, "0-4/5", Buffer.from("late!"));
  const again = await put(uri, "*/*");
  expect([late.status, again.status]).toEqual([412, 412]);
  expect((await send(objectUrl(server.url, "object", "?alt=media"))).body.toString()).toBe("hello");
});

it("lets exactly one of many concurrent creates win, however they are sent", async () => {
  await using server = await harness();
  const options = { preconditionOpts: { ifGenerationMatch: 0 } };
  const contents = Array.from({ length: 12 }, (_, at) => Buffer.alloc(2 * kib256 + at, at));
  const ways = [{ resumable: false }, { resumable: true }, { resumable: true, chunkSize: kib256 }];
  const results = await Promise.allSettled(
    contents.map((bytes, at) =>
      server.client
        .bucket("bucket")
        .file("object")
        .save(bytes, { ...ways[at % ways.length], ...options }),
    ),
  );
  const winners = contents.filter((_, at) => results[at]?.status === "fulfilled");
  expect(winners).toHaveLength(1);
  expect((await server.client.bucket("bucket").file("object").download())[0].equals(winners[0] ?? hello)).toBe(true);
  const codes = results.flatMap((result) => (result.status === "rejected" ? [Number(result.reason.code)] : []));
  expect(new Set(codes)).toEqual(new Set([412]));
});

it("replaces an object with a higher generation, and removes the old bytes", async () => {
  await using server = await harness();
  const first = await multipart(server.url, "object", hello);
  const second = await multipart(server.url, "object", hello, `&ifGenerationMatch=${first.json.generation}`);
  expect(Number(second.json.generation)).toBeGreaterThan(Number(first.json.generation));
  expect(await readdir(join(server.directory, "bytes"))).toHaveLength(1);
});

it("gives generations that rise even if the clock stands still, after a delete and a restart too", async () => {
  await using server = await harness({ now: () => new Date("2030-01-01") });
  const generations: number[] = [];
  for (let round = 0; round < 3; round++) {
    const { json } = await multipart(server.url, "object", hello);
    generations.push(Number(json.generation));
    await send(objectUrl(server.url, "object"), "DELETE");
    await server.restart();
  }
  expect(generations).toEqual([...new Set(generations)].sort((a, b) => a - b));
});
