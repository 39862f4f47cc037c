import { readdir } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import { expect, it } from "vitest";
import {
  crc32cOf,
  harness,
  messageOf,
  multipart,
  objectUrl,
  put,
  reasonOf,
  send,
  someBytes,
} from "./storage-harness.ts";

const digits = Buffer.from("0123456789");

it.each([
  ["bytes=0-0", 206, "0", "bytes 0-0/10"],
  ["bytes=2-4", 206, "234", "bytes 2-4/10"],
  ["bytes=7-", 206, "789", "bytes 7-9/10"],
  ["bytes=7-99", 206, "789", "bytes 7-9/10"],
  ["bytes=-3", 206, "789", "bytes 7-9/10"],
  ["bytes=-99", 206, "0123456789", "bytes 0-9/10"],
  ["bytes=4-2", 200, "0123456789", null],
  ["lines=1-2", 200, "0123456789", null],
  ["bytes=0-1,4-5", 200, "0123456789", null],
])("answers Range %s with %i and %s", async (range, status, text, contentRange) => {
  await using server = await harness();
  await multipart(server.url, "object", digits);
  const answer = await send(objectUrl(server.url, "object", "?alt=media"), "GET", { headers: { range } });
  expect([answer.status, answer.body.toString(), answer.headers.get("content-range")]).toEqual([
    status,
    text,
    contentRange,
  ]);
});

it.each(["bytes=10-", "bytes=10-12", "bytes=-0"])("answers Range %s with 416", async (range) => {
  await using server = await harness();
  await multipart(server.url, "object", digits);
  const answer = await send(objectUrl(server.url, "object", "?alt=media"), "GET", { headers: { range } });
  expect([answer.status, reasonOf(answer)]).toEqual([416, "requestedRangeNotSatisfiable"]);
});

it("sends the headers that clients validate bytes by, on both paths", async () => {
  await using server = await harness();
  const { json } = await multipart(server.url, "object", digits);
  for (const url of [objectUrl(server.url, "object", "?alt=media"), String(json.mediaLink)]) {
    const { headers } = await send(url);
    expect(Object.fromEntries(headers)).toMatchObject({
      "x-goog-hash": `crc32c=${crc32cOf(digits)},md5=${json.md5Hash}`,
      "x-goog-stored-content-encoding": "identity",
      "x-goog-generation": json.generation,
      "x-goog-metageneration": "1",
      etag: `"${json.etag}"`,
      "content-type": "text/plain",
      "content-length": "10",
    });
  }
});

it("answers 404 in Google's form for an object, a bucket and a generation that are not there", async () => {
  await using server = await harness();
  const { json } = await multipart(server.url, "object", digits);
  const answers = [
    await send(objectUrl(server.url, "other")),
    await send(`${server.url}/storage/v1/b/other/o/object?alt=media`),
    await send(objectUrl(server.url, "object", `?alt=media&generation=${Number(json.generation) - 1}`)),
  ];
  expect(answers.map(({ status }) => status)).toEqual([404, 404, 404]);
  expect(answers[0]?.json).toEqual({
    error: {
      code: 404,
      message: "No such object: bucket/other",
      errors: [{ message: "No such object: bucket/other", domain: "global", reason: "notFound" }],
    },
  });
});

it.each([
  ["GET", "?ifGenerationMatch=GEN", 200],
  ["GET", "?ifGenerationMatch=1", 412],
  ["GET", "?ifGenerationMatch=0", 412],
  ["GET", "?ifGenerationNotMatch=GEN", 304],
  ["GET", "?ifGenerationNotMatch=1", 200],
  ["GET", "?ifMetagenerationMatch=1", 200],
  ["GET", "?ifMetagenerationMatch=2", 412],
  ["GET", "?ifMetagenerationNotMatch=1", 304],
  ["GET", "?alt=media&ifGenerationMatch=1", 412],
  ["GET", "?alt=media&ifGenerationNotMatch=GEN", 304],
  ["GET", "?ifGenerationMatch=x", 400],
  ["DELETE", "?ifGenerationMatch=1", 412],
  ["DELETE", "?ifGenerationNotMatch=GEN", 412],
  ["DELETE", "?ifMetagenerationMatch=2", 412],
  ["DELETE", "?generation=1", 404],
  ["DELETE", "?ifGenerationMatch=GEN", 204],
  ["PATCH", "?ifMetagenerationMatch=2", 412],
  ["PATCH", "?ifMetagenerationNotMatch=1", 412],
  ["PATCH", "?ifMetagenerationMatch=1&ifGenerationMatch=GEN", 200],
])("answers %s with %s by %i", async (method, query, status) => {
  await using server = await harness();
  const { json } = await multipart(server.url, "object", digits);
  const url = objectUrl(server.url, "object", query.replace("GEN", String(json.generation)));
  expect((await send(url, method, method === "PATCH" ? { body: {} } : {})).status).toBe(status);
});

it.each([
  ["ifGenerationMatch=0", 200],
  ["ifGenerationMatch=5", 412],
  ["ifGenerationNotMatch=0", 412],
  ["ifMetagenerationMatch=1", 412],
])("answers the insert of a new object with %s by %i", async (query, status) => {
  await using server = await harness();
  expect((await multipart(server.url, "object", digits, `&${query}`)).status).toBe(status);
});

it("goes on reading an object that is deleted meanwhile", async () => {
  await using server = await harness();
  const bytes = someBytes(16_000_000);
  await multipart(server.url, "object", bytes);
  const answer = await fetch(objectUrl(server.url, "object", "?alt=media"));
  await send(objectUrl(server.url, "object"), "DELETE");
  expect(Buffer.from(await answer.arrayBuffer()).equals(bytes)).toBe(true);
});

it("does not send a gzip object to a client that could not read it", async () => {
  await using server = await harness();
  await multipart(server.url, "object", digits, "", { contentEncoding: "gzip" });
  const answer = await send(objectUrl(server.url, "object", "?alt=media"), "GET", {
    headers: { "accept-encoding": "br" },
  });
  expect([answer.status, messageOf(answer)]).toEqual([501, expect.stringContaining("decompressive transcoding")]);
});

const listed = ["a/1", "a/2", "a/b/3", "b", "c/4", "\u{ffff}", "\u{10000}"];

it("lists names in the order of their UTF-8 bytes", async () => {
  await using server = await harness();
  for (const name of listed.toReversed()) await multipart(server.url, name, digits);
  const [files] = await server.client.bucket("bucket").getFiles();
  expect(files.map(({ name }) => name)).toEqual(listed);
});

it.each([
  [{ prefix: "a/" }, ["a/1", "a/2", "a/b/3"], []],
  [{ delimiter: "/" }, ["b", "\u{ffff}", "\u{10000}"], ["a/", "c/"]],
  [{ prefix: "a/", delimiter: "/" }, ["a/1", "a/2"], ["a/b/"]],
  [{ startOffset: "a/2", endOffset: "c" }, ["a/2", "a/b/3", "b"], []],
  [{ prefix: "none" }, [], []],
])("lists with %o, in pages of every size", async (query, names, prefixes) => {
  await using server = await harness();
  for (const name of listed) await multipart(server.url, name, digits);
  for (const maxResults of [1, 2, 3, 1000]) {
    const found = { names: [] as string[], prefixes: [] as string[] };
    let page: { pageToken?: string } | null = {};
    while (page !== null) {
      const options = { ...query, ...page, maxResults, autoPaginate: false };
      const [files, next, answer] = await server.client.bucket("bucket").getFiles(options);
      found.names.push(...files.map(({ name }) => name));
      found.prefixes.push(...((answer as { prefixes?: string[] }).prefixes ?? []));
      page = next as typeof page;
    }
    expect(found).toEqual({ names, prefixes });
  }
});

const strangeNames = [
  "../../escape",
  "a/../../b",
  "/",
  "//",
  "/lead",
  "trail/",
  "%2e%2e%2f",
  "100%",
  "…/ü/日本",
  "a\0b",
  "bucket.json",
  "?alt=media#x",
  "x".repeat(1024),
  "..a",
  "con",
  " ",
];

it("keeps strange names apart and inside its folder", async () => {
  await using server = await harness();
  const bucket = server.client.bucket("bucket");
  for (const name of strangeNames) await multipart(server.url, name, Buffer.from(`at ${name}`));
  for (const name of strangeNames) expect(String((await bucket.file(name).download())[0])).toBe(`at ${name}`);
  const names = (await bucket.getFiles())[0].map(({ name }) => name);
  expect(names.toSorted()).toEqual(strangeNames.toSorted());
  expect(await readdir(join(server.directory, ".."))).not.toContain("escape");
  const inside = await readdir(server.directory);
  expect(inside.toSorted()).toEqual(["buckets", "bytes", "outbox", "rewrites", "uploads"]);
});

it.each([
  "",
  ".",
  "..",
  "a\nb",
  "a\rb",
  "x".repeat(1025),
  "ü".repeat(513),
  ".well-known/acme-challenge/x",
])("refuses the name %j", async (name) => {
  await using server = await harness();
  expect((await multipart(server.url, name, digits)).status).toBe(400);
});

it.each([
  "/storage/v1/b/bucket/o/..",
  "/storage/v1/b/../b/bucket",
  "/storage/v1/b/bucket/o/%ff",
  "/storage/v1/b/bucket/o/../../../etc/passwd",
  "/storage/v1/b/..%2f..%2fetc/o",
])("answers the raw path %s with an error", async (path) => {
  await using server = await harness();
  const { hostname, port } = new URL(server.url);
  const status = await new Promise((resolve) => {
    request({ hostname, port, path }, (answer) => resolve(answer.resume().statusCode)).end();
  });
  expect([400, 404, 501]).toContain(status);
});

it("takes no upload id for a path", async () => {
  await using server = await harness();
  const uri = `${server.url}/upload/storage/v1/b/bucket/o?upload_id=${encodeURIComponent("../buckets/bucket/bucket")}`;
  expect((await put(uri, "*/*")).status).toBe(404);
});
