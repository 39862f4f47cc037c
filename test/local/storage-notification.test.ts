import { readdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import type { Publish } from "../../infra/local/storage/outbox.ts";
import { until } from "./processes.ts";
import { type Harness, harness, multipart, objectUrl, send } from "./storage-harness.ts";

const hello = Buffer.from("hello");

type Attributes = Record<string, string>;

/** A Pub/Sub that writes down what it takes; `away` makes it refuse. */
function recorder() {
  const taken: { topic: string; attributes: Attributes; data: string }[] = [];
  const state = { away: false, refused: 0 };
  const publish: Publish = async (topic, { data, attributes }) => {
    if (state.away) {
      state.refused += 1;
      throw new Error("Pub/Sub is away");
    }
    taken.push({ topic, attributes, data: data.toString() });
  };
  return { taken, state, publish };
}

function notify(server: Harness, body: object = {}) {
  const url = `${server.url}/storage/v1/b/bucket/notificationConfigs`;
  return send(url, "POST", {
    body: { topic: "//pubsub.googleapis.com/projects/test/topics/events", payload_format: "JSON_API_V1", ...body },
  });
}

it("creates, lists, describes and deletes notification configs through the client library", async () => {
  await using server = await harness();
  const bucket = server.client.bucket("bucket");
  const [created] = await bucket.createNotification("events", {
    eventTypes: ["OBJECT_FINALIZE"],
    objectNamePrefix: "in/",
  });
  await bucket.createNotification("events");
  await server.restart();
  const again = server.client.bucket("bucket");
  const [configs] = await again.getNotifications();
  expect(configs.map(({ id }) => id)).toEqual(["1", "2"]);
  const [metadata] = await again.notification(created.id ?? "").getMetadata();
  expect(metadata).toMatchObject({
    topic: "//pubsub.googleapis.com/projects/test/topics/events",
    event_types: ["OBJECT_FINALIZE"],
    object_name_prefix: "in/",
  });
  await again.notification("1").delete();
  await expect(again.notification("1").getMetadata()).rejects.toMatchObject({ code: 404 });
});

it.each([
  { topic: "events" },
  { payload_format: "XML" },
  { event_types: ["OBJECT_READ"] },
])("refuses the notification config %o", async (body) => {
  await using server = await harness();
  expect((await notify(server, body)).status).toBe(400);
});

it("says that an object was finalized, with Google's attributes and the object's resource", async () => {
  const { taken, publish } = recorder();
  await using server = await harness({ publish, now: () => new Date("2030-01-01T00:00:00Z") });
  await notify(server, { event_types: ["OBJECT_FINALIZE"], custom_attributes: { stack: "local" } });
  const { json } = await multipart(server.url, "orders/1.rdb", hello);
  await until(() => taken.length === 1);
  expect(taken[0]?.topic).toBe("projects/test/topics/events");
  expect(taken[0]?.attributes).toEqual({
    notificationConfig: "projects/_/buckets/bucket/notificationConfigs/1",
    eventType: "OBJECT_FINALIZE",
    payloadFormat: "JSON_API_V1",
    bucketId: "bucket",
    objectId: "orders/1.rdb",
    objectGeneration: json.generation,
    eventTime: "2030-01-01T00:00:00.000Z",
    stack: "local",
  });
  expect(JSON.parse(taken[0]?.data ?? "")).toEqual(json);
});

it("says for an overwrite what came and what went, and for a delete what went", async () => {
  const { taken, publish } = recorder();
  await using server = await harness({ publish });
  await notify(server);
  const first = (await multipart(server.url, "object", hello)).json.generation;
  const second = (await multipart(server.url, "object", hello)).json.generation;
  await send(objectUrl(server.url, "object"), "PATCH", { body: { metadata: { a: "1" } } });
  await send(objectUrl(server.url, "object"), "DELETE");
  await until(() => taken.length === 5);
  const said = taken.map(({ attributes }) => [
    attributes.eventType,
    attributes.objectGeneration,
    attributes.overwroteGeneration,
    attributes.overwrittenByGeneration,
  ]);
  expect(said).toEqual([
    ["OBJECT_FINALIZE", first, undefined, undefined],
    ["OBJECT_FINALIZE", second, first, undefined],
    ["OBJECT_DELETE", first, undefined, second],
    ["OBJECT_METADATA_UPDATE", second, undefined, undefined],
    ["OBJECT_DELETE", second, undefined, undefined],
  ]);
});

it("says nothing of other events, other prefixes, refused writes, or in an empty payload", async () => {
  const { taken, publish } = recorder();
  await using server = await harness({ publish });
  await notify(server, { event_types: ["OBJECT_FINALIZE"], object_name_prefix: "in/", payload_format: "NONE" });
  await multipart(server.url, "out/1", hello);
  await multipart(server.url, "in/0", hello, "&ifGenerationMatch=7");
  await multipart(server.url, "in/1", hello);
  await send(objectUrl(server.url, "in/1"), "DELETE");
  await multipart(server.url, "in/2", hello);
  await until(() => taken.length >= 2);
  expect(taken.map(({ attributes, data }) => [attributes.objectId, data])).toEqual([
    ["in/1", ""],
    ["in/2", ""],
  ]);
});

it("says it for composed and rewritten objects too", async () => {
  const { taken, publish } = recorder();
  await using server = await harness({ publish });
  await multipart(server.url, "object", hello);
  await notify(server);
  await server.client.bucket("bucket").combine(["object"], "composed");
  await server.client.bucket("bucket").file("object").copy("rewritten");
  await until(() => taken.length === 2);
  expect(taken.map(({ attributes }) => attributes.objectId)).toEqual(["composed", "rewritten"]);
});

it("keeps notifications while Pub/Sub is away, and sends them in order when it is back", async () => {
  const { taken, state, publish } = recorder();
  await using server = await harness({ publish });
  await notify(server);
  state.away = true;
  for (const name of ["a", "b", "c"]) await multipart(server.url, name, hello);
  await until(() => state.refused >= 2);
  expect(await readdir(join(server.directory, "outbox"))).toHaveLength(3);
  state.away = false;
  await until(() => taken.length === 3);
  expect(taken.map(({ attributes }) => attributes.objectId)).toEqual(["a", "b", "c"]);
  await until(async () => (await readdir(join(server.directory, "outbox"))).length === 0);
});

it("keeps notifications over a restart", async () => {
  const { taken, state, publish } = recorder();
  state.away = true;
  await using server = await harness({ publish });
  await notify(server);
  await multipart(server.url, "object", hello);
  await send(objectUrl(server.url, "object"), "DELETE");
  state.away = false;
  await server.restart();
  await until(() => taken.length === 2);
  expect(taken.map(({ attributes }) => attributes.eventType)).toEqual(["OBJECT_FINALIZE", "OBJECT_DELETE"]);
});

it("does not let one topic's absence hold up another", async () => {
  const { taken, publish } = recorder();
  const missing: Publish = async (topic, message) => {
    if (topic.endsWith("missing")) throw new Error("no such topic");
    await publish(topic, message);
  };
  await using server = await harness({ publish: missing });
  await notify(server, { topic: "//pubsub.googleapis.com/projects/test/topics/missing" });
  await notify(server);
  await multipart(server.url, "object", hello);
  await until(() => taken.length === 1);
});

it("stops although a publish never settles, and sends it again later", async () => {
  let hangs = true;
  const { taken, publish } = recorder();
  await using server = await harness({
    publish: (topic, message) => (hangs ? new Promise(() => {}) : publish(topic, message)),
  });
  await notify(server);
  await multipart(server.url, "object", hello);
  hangs = false;
  await server.restart();
  await until(() => taken.length === 1);
});

it.each([
  ["an object that appeared", "object", true],
  ["an object that never did", "absent", false],
])("decides at the start about a notification announced for %s before a crash", async (_, name, isSent) => {
  const { taken, publish } = recorder();
  await using server = await harness({ publish });
  await notify(server);
  const { json } = await multipart(server.url, "object", hello);
  await until(() => taken.length === 1);
  const attributes = {
    eventType: "OBJECT_FINALIZE",
    bucketId: "bucket",
    objectId: name,
    objectGeneration: json.generation,
  };
  const letter = { topic: "projects/test/topics/events", time: new Date().toISOString(), attributes, data: "{}" };
  const pending = join(server.directory, "outbox", "000000000009.pending");
  await writeFile(`${pending}.half`, JSON.stringify(letter));
  await rename(`${pending}.half`, pending);
  await server.restart();
  await multipart(server.url, "next", hello);
  await until(() => taken.at(-1)?.attributes.objectId === "next");
  expect(taken.map(({ attributes }) => attributes.objectId)).toEqual(
    isSent ? ["object", "object", "next"] : ["object", "next"],
  );
});
