import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import {
  crc32cOf,
  type Harness,
  harness,
  messageOf,
  multipart,
  objectUrl,
  reasonOf,
  send,
  someBytes,
} from "./storage-harness.ts";

const hello = Buffer.from("hello");
const day = 24 * 3600 * 1000;

it.each([
  ["ASIA-NORTHEAST1", "region"],
  ["europe-west12", "region"],
  ["us", "multi-region"],
  ["EU", "multi-region"],
  ["ASIA", "multi-region"],
  ["ASIA1", "dual-region"],
  ["nam4", "dual-region"],
  ["EUR4", "dual-region"],
])("creates a bucket in %s as a %s", async (location, locationType) => {
  await using server = await harness();
  await server.client.createBucket("placed", { location });
  const [metadata] = await server.client.bucket("placed").getMetadata();
  expect(metadata).toMatchObject({ location: location.toUpperCase(), locationType, storageClass: "STANDARD" });
});

it("lists buckets, and keeps them over a restart", async () => {
  await using server = await harness();
  await server.client.createBucket("another", { location: "NAM4", labels: { stack: "local" } });
  await server.restart();
  const [buckets] = await server.client.getBuckets();
  expect(buckets.map(({ name }) => name)).toEqual(["another", "bucket"]);
  expect(buckets[0]?.metadata).toMatchObject({ location: "NAM4", labels: { stack: "local" } });
});

it.each([
  "ab",
  "Upper",
  "-a-",
  "a..b",
  "1.2.3.4",
  "a/b",
  "..",
  "x".repeat(64),
])("refuses the bucket name %s", async (name) => {
  await using server = await harness();
  expect((await send(`${server.url}/storage/v1/b?project=test`, "POST", { body: { name } })).status).toBe(400);
});

it("refuses a second bucket of a name, a place that is none, and another project", async () => {
  await using server = await harness();
  const create = (query: string, body: object) => send(`${server.url}/storage/v1/b${query}`, "POST", { body });
  expect((await create("?project=test", { name: "bucket" })).status).toBe(409);
  expect((await create("?project=test", { name: "nowhere", location: "MOON" })).status).toBe(400);
  expect((await create("?project=other", { name: "foreign" })).status).toBe(400);
});

it("deletes only an empty bucket", async () => {
  await using server = await harness();
  await multipart(server.url, "object", hello);
  await expect(server.client.bucket("bucket").delete()).rejects.toMatchObject({ code: 409 });
  await server.client.bucket("bucket").deleteFiles();
  await server.client.bucket("bucket").delete();
  expect(await readdir(join(server.directory, "buckets"))).toEqual([]);
});

it("merges metadata by key, and raises the metageneration", async () => {
  await using server = await harness();
  await multipart(server.url, "object", hello, "", { metadata: { kept: "1", gone: "2" } });
  const file = server.client.bucket("bucket").file("object");
  await file.setMetadata({
    contentType: "a/b",
    metadata: { gone: null, added: 3 },
    customTime: "2030-01-01T00:00:00Z",
  });
  await server.restart();
  const [metadata] = await server.client.bucket("bucket").file("object").getMetadata();
  expect(metadata).toMatchObject({ contentType: "a/b", metageneration: "2", customTime: "2030-01-01T00:00:00Z" });
  expect(metadata.metadata).toEqual({ kept: "1", added: "3" });
});

it("takes all metadata away with null, and lets no customTime go back", async () => {
  await using server = await harness();
  await multipart(server.url, "object", hello, "", { metadata: { a: "1" }, customTime: "2030-01-01T00:00:00Z" });
  const patch = (body: object) => send(objectUrl(server.url, "object"), "PATCH", { body });
  expect((await patch({ metadata: null })).json.metadata).toBeUndefined();
  expect((await patch({ customTime: "2029-01-01T00:00:00Z" })).status).toBe(400);
  expect((await patch({ customTime: null })).status).toBe(400);
});

async function refusals(server: Harness): Promise<unknown[]> {
  const deleted = await send(objectUrl(server.url, "object"), "DELETE");
  const overwritten = await multipart(server.url, "object", Buffer.from("other"));
  const kept = await send(objectUrl(server.url, "object", "?alt=media"));
  return [deleted.status, reasonOf(deleted), overwritten.status, reasonOf(overwritten), kept.body.toString()];
}

it.each([
  "temporaryHold",
  "eventBasedHold",
])("refuses to delete or overwrite an object under %s until it is released", async (hold) => {
  await using server = await harness();
  await multipart(server.url, "object", hello);
  await send(objectUrl(server.url, "object"), "PATCH", { body: { [hold]: true } });
  expect(await refusals(server)).toEqual([403, "objectUnderActiveHold", 403, "objectUnderActiveHold", "hello"]);
  await send(objectUrl(server.url, "object"), "PATCH", { body: { [hold]: false } });
  expect((await send(objectUrl(server.url, "object"), "DELETE")).status).toBe(204);
});

it("refuses to delete or overwrite what the bucket retains until its time has come", async () => {
  let now = new Date("2030-01-01T00:00:00Z");
  await using server = await harness({ now: () => now });
  await server.client.bucket("bucket").setRetentionPeriod(10 * 24 * 3600);
  const { json } = await multipart(server.url, "object", hello);
  expect(json.retentionExpirationTime).toBe("2030-01-11T00:00:00.000Z");
  now = new Date(now.getTime() + 10 * day - 1);
  expect(await refusals(server)).toEqual([403, "retentionPolicyNotMet", 403, "retentionPolicyNotMet", "hello"]);
  now = new Date(now.getTime() + 1);
  expect((await send(objectUrl(server.url, "object"), "DELETE")).status).toBe(204);
});

it("counts retention from the release of an event-based hold, which a bucket may set by default", async () => {
  let now = new Date("2030-01-01T00:00:00Z");
  await using server = await harness({ now: () => now });
  await server.client
    .bucket("bucket")
    .setMetadata({ defaultEventBasedHold: true, retentionPolicy: { retentionPeriod: 86_400 } });
  const { json } = await multipart(server.url, "object", hello);
  expect([json.eventBasedHold, json.retentionExpirationTime]).toEqual([true, undefined]);
  now = new Date(now.getTime() + 5 * day);
  const released = await send(objectUrl(server.url, "object"), "PATCH", { body: { eventBasedHold: false } });
  expect(released.json.retentionExpirationTime).toBe("2030-01-07T00:00:00.000Z");
});

it("lets a locked retention policy only grow", async () => {
  await using server = await harness();
  const bucket = server.client.bucket("bucket");
  const [{ metageneration = "" }] = await bucket.setRetentionPeriod(100);
  await bucket.lock(metageneration);
  await expect(bucket.setRetentionPeriod(99)).rejects.toMatchObject({ code: 403 });
  await expect(bucket.removeRetentionPeriod()).rejects.toMatchObject({ code: 403 });
  const [grown] = await bucket.setRetentionPeriod(101);
  expect(grown.retentionPolicy).toMatchObject({ retentionPeriod: "101", isLocked: true });
});

it("composes objects end to end", async () => {
  await using server = await harness();
  const bucket = server.client.bucket("bucket");
  const parts = [someBytes(300_000), Buffer.alloc(0), someBytes(1)];
  for (const [at, part] of parts.entries()) await multipart(server.url, `part-${at}`, part);
  await bucket.combine(["part-0", "part-1", "part-2"], "whole");
  const [metadata] = await bucket.file("whole").getMetadata();
  expect(metadata).toMatchObject({ crc32c: crc32cOf(Buffer.concat(parts)), componentCount: 3, size: "300001" });
  expect((await bucket.file("whole").download())[0].equals(Buffer.concat(parts))).toBe(true);
});

it("composes nothing if a source or a precondition is not met", async () => {
  await using server = await harness();
  const { json } = await multipart(server.url, "part", hello);
  const compose = (sourceObjects: object[], query = "") =>
    send(objectUrl(server.url, "whole", `/compose${query}`).replace("%2Fcompose", "/compose"), "POST", {
      body: { sourceObjects },
    });
  expect((await compose([{ name: "part" }, { name: "missing" }])).status).toBe(404);
  expect((await compose([{ name: "part", generation: 1 }])).status).toBe(404);
  expect((await compose([{ name: "part", objectPreconditions: { ifGenerationMatch: 1 } }])).status).toBe(412);
  expect((await compose([{ name: "part" }], "?ifGenerationMatch=7")).status).toBe(412);
  expect((await compose([])).status).toBe(400);
  expect((await compose(Array(33).fill({ name: "part" }))).status).toBe(400);
  expect(await readdir(join(server.directory, "bytes"))).toHaveLength(1);
  expect((await compose([{ name: "part", generation: json.generation }], "?ifGenerationMatch=0")).status).toBe(200);
});

it("copies an object to another bucket in as many calls as its size needs", async () => {
  await using server = await harness();
  const [other] = await server.client.createBucket("other");
  const bytes = Buffer.alloc((64 << 20) + 1, "valkeep");
  await multipart(server.url, "object", bytes, "", { metadata: { operation: "op-1" } });
  await server.client
    .bucket("bucket")
    .file("object")
    .copy(other.file("copy"), { preconditionOpts: { ifGenerationMatch: 0 } });
  const [metadata] = await other.file("copy").getMetadata();
  expect(metadata).toMatchObject({
    crc32c: crc32cOf(bytes),
    size: String(bytes.length),
    contentType: "text/plain",
    metadata: { operation: "op-1" },
  });
});

const rewriteUrl = (server: Harness, query: string) =>
  `${objectUrl(server.url, "object")}/rewriteTo/b/bucket/o/copy?${query}`;

it("goes on with a rewrite by its token, after a restart too, and repeats its last answer", async () => {
  await using server = await harness();
  const bytes = someBytes(2_500_000);
  await multipart(server.url, "object", bytes);
  const page = "maxBytesRewrittenPerCall=1048576";
  const first = await send(rewriteUrl(server, page), "POST", { body: { metadata: { a: "1" } } });
  expect(first.json).toMatchObject({ done: false, totalBytesRewritten: "1048576", objectSize: "2500000" });
  await server.restart();
  const next = () =>
    send(rewriteUrl(server, `${page}&rewriteToken=${first.json.rewriteToken}`), "POST", { body: { token: "x" } });
  expect((await next()).json).toMatchObject({ done: false, totalBytesRewritten: "2097152" });
  expect((await send(objectUrl(server.url, "copy"))).status).toBe(404);
  const last = await next();
  expect(last.json).toMatchObject({ done: true, resource: { crc32c: crc32cOf(bytes), metadata: { a: "1" } } });
  expect((await next()).json).toEqual(last.json);
});

it("rewrites nothing if a precondition, a place or a token is wrong", async () => {
  await using server = await harness();
  const { json } = await multipart(server.url, "object", hello);
  const rewrite = async (query: string) => (await send(rewriteUrl(server, query), "POST", { body: {} })).status;
  expect(await rewrite("ifSourceGenerationMatch=1")).toBe(412);
  expect(await rewrite(`ifSourceGenerationNotMatch=${json.generation}`)).toBe(412);
  expect(await rewrite("ifSourceMetagenerationMatch=2")).toBe(412);
  expect(await rewrite("ifGenerationMatch=9")).toBe(412);
  expect(await rewrite("sourceGeneration=1")).toBe(404);
  expect(await rewrite("rewriteToken=../x")).toBe(400);
  expect(await rewrite("maxBytesRewrittenPerCall=5")).toBe(400);
  expect(await rewrite(`sourceGeneration=${json.generation}&ifGenerationMatch=0`)).toBe(200);
});

it("stops a rewrite whose source was replaced between two calls", async () => {
  await using server = await harness();
  await multipart(server.url, "object", someBytes(2_000_000));
  const { json } = await send(rewriteUrl(server, "maxBytesRewrittenPerCall=1048576"), "POST", { body: {} });
  await multipart(server.url, "object", hello);
  expect((await send(rewriteUrl(server, `rewriteToken=${json.rewriteToken}`), "POST", { body: {} })).status).toBe(404);
  expect(await readdir(join(server.directory, "bytes"))).toHaveLength(1);
});

it.each([
  ["GET", "/storage/v1/b/bucket/iam", "IAM"],
  ["GET", "/storage/v1/b/bucket/acl", "ACLs"],
  ["POST", "/storage/v1/b/bucket/o/acl/acl", "ACLs"],
  ["GET", "/storage/v1/projects/test/hmacKeys", "HMAC"],
  ["GET", "/storage/v1/projects/test/serviceAccount", "service accounts"],
  ["GET", "/storage/v1/b/bucket/o?versions=true", "versioning"],
  ["GET", "/storage/v1/b/bucket/o?softDeleted=true", "soft delete"],
  ["GET", "/storage/v1/b/bucket/o?matchGlob=*", "matchGlob"],
  ["POST", "/storage/v1/b/bucket/o/object/restore", "soft delete"],
  ["POST", "/storage/v1/b/bucket/o/object/moveTo/o/x", "objects.move"],
  ["PUT", "/storage/v1/b/bucket/o/object", "PUT"],
  ["POST", "/batch/storage/v1", "batch"],
  ["GET", "/bucket/object", "XML API"],
  ["GET", "/bucket/object?X-Goog-Signature=x", "signed URLs"],
  ["POST", "/upload/storage/v1/b/bucket/o?uploadType=resumable&name=x&predefinedAcl=private", "ACLs"],
  ["POST", "/upload/storage/v1/b/bucket/o?uploadType=resumable&name=x&kmsKeyName=k", "encryption"],
])("answers %s %s with 501 and names %s", async (method, path, feature) => {
  await using server = await harness();
  const answer = await send(server.url + path, method, method === "GET" ? {} : { body: {} });
  expect([answer.status, messageOf(answer)]).toEqual([501, expect.stringContaining(feature)]);
});

it.each(["versioning", "lifecycle", "encryption", "acl"])("refuses a bucket with %s by 501", async (field) => {
  await using server = await harness();
  const wishes: Record<string, unknown> = {
    versioning: { enabled: true },
    lifecycle: { rule: [{ action: { type: "Delete" }, condition: { age: 1 } }] },
    encryption: { defaultKmsKeyName: "k" },
    acl: [{ entity: "allUsers", role: "READER" }],
  };
  const answer = await send(`${server.url}/storage/v1/b?project=test`, "POST", {
    body: { name: "wishes", [field]: wishes[field] },
  });
  expect([answer.status, messageOf(answer)]).toEqual([501, expect.stringContaining(field)]);
});

it("keeps and shows how a bucket is protected, until a patch says otherwise", async () => {
  await using server = await harness();
  const url = `${server.url}/storage/v1/b`;
  const protection = {
    iamConfiguration: { publicAccessPrevention: "enforced", uniformBucketLevelAccess: { enabled: true } },
    softDeletePolicy: { retentionDurationSeconds: "604800" },
  };
  const made = await send(`${url}?project=test`, "POST", { body: { name: "guarded", ...protection } });
  expect([made.status, made.json]).toEqual([200, expect.objectContaining(protection)]);
  const body = {
    iamConfiguration: { publicAccessPrevention: "inherited" },
    softDeletePolicy: { retentionDurationSeconds: 0 },
  };
  const patched = await send(`${url}/guarded`, "PATCH", { body });
  expect(patched.json).toMatchObject({
    iamConfiguration: { publicAccessPrevention: "inherited", uniformBucketLevelAccess: { enabled: true } },
    softDeletePolicy: { retentionDurationSeconds: "0" },
  });
});

it.each([3600, 604_799, 7_776_001, "a week"])("refuses to keep deleted objects for %j s", async (seconds) => {
  await using server = await harness();
  const body = { name: "wishes", softDeletePolicy: { retentionDurationSeconds: seconds } };
  expect((await send(`${server.url}/storage/v1/b?project=test`, "POST", { body })).status).toBe(400);
});

it("refuses a body that is not JSON, is not an object's, or does not end", async () => {
  await using server = await harness();
  await multipart(server.url, "object", hello);
  const patch = (body: string) => send(objectUrl(server.url, "object"), "PATCH", { body });
  expect((await patch("{")).status).toBe(400);
  expect((await patch('{"temporaryHold":"yes"}')).status).toBe(400);
  expect((await patch("[]")).status).toBe(400);
  expect((await patch(`{"x":"${"x".repeat(2 << 20)}"}`)).status).toBe(400);
});
