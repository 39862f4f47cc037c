import { afterAll, beforeAll, expect, it } from "vitest";
import { type EventType, eventTypes } from "../../shared/backup/event.ts";
import { backupName } from "../../shared/backup/name.ts";
import type { Operation } from "../../shared/backup/operation.ts";
import { routes } from "../../shared/backup/route.ts";
import { operationIdFor } from "../../shared/pipeline/identity.ts";
import { until } from "../fixture/until.ts";
import { fillBulk } from "./data.ts";
import { assertAtRest, backupsOf, openStage, type Stage } from "./stage.ts";

/** Messages that nobody can understand, published by a plain client of Pub/Sub. */
let stage: Stage;
const nightly = backupName("orders", "nightly");

beforeAll(async () => {
  stage = await openStage();
  const { endpoint } = await stage.valkey();
  await fillBulk(endpoint, 1);
  await stage.register("orders", endpoint);
  await stage.done("backup.v1.requested", { instance: "orders", backupId: "nightly" });
});

afterAll(async () => {
  try {
    await assertAtRest(stage);
  } finally {
    await stage[Symbol.asyncDispose]();
  }
});

const request = "backup.v1.requested";
const nothing = Buffer.alloc(0);
const nonsense = Buffer.alloc(1_000_000, "{nonsense");

/** Publishes, and answers the Operation that says what was wrong. */
async function poison(type: EventType, data: unknown, attributes: Record<string, string> = {}): Promise<Operation> {
  const name = nameOf(type, await stage.publish(type, data, attributes));
  return await until(async () => await stage.document<Operation>(name), `${name} of ${type}`, 20);
}

/** The Operation of a message that cannot be understood: known by nothing but its id. */
const nameOf = (type: EventType, messageId: string): string =>
  `operations/${operationIdFor(type, `malformed ${messageId}`)}`;

it.each<[string, EventType, unknown, Record<string, string>, RegExp]>([
  ["that is not JSON", request, Buffer.from("orders, please"), {}, /the message is not JSON/],
  ["that is not UTF-8", request, Buffer.from([0xff, 0xfe, 0x00]), {}, /the message is not JSON/],
  ["that is 1 MB of nonsense", request, nonsense, {}, /1000000 bytes, a request has at most 65536/],
  ["without data", request, nothing, { instance: "orders" }, /the message has no data/],
  ["without data to a function of several topics", "undelete.v1.requested", nothing, { a: "b" }, /no data/],
  ["of another version", request, { instance: "orders" }, { type: "backup.v2.requested" }, /backup\.v2\.requested/],
  ["that is null", request, null, {}, /expected object/],
  ["that is a list", request, [{ instance: "orders" }], {}, /expected object/],
  ["with a field that nobody knows", request, { instance: "orders", force: true }, {}, /force/],
  ["with a request id that is no text", request, { instance: "orders", requestId: {} }, {}, /requestId/],
  ["whose schedule is none", request, { instance: "orders", schedule: { cron: "x", timeZone: "y" } }, {}, /cron/],
  ["that begins in the middle", "shard.v1.requested", { backup: nightly }, {}, /belongs to an operation/],
  ["that erases out of the blue", "erasure.v1.requested", { backup: nightly }, {}, /belongs to an operation/],
  ["about a place outside", "deletion.v1.requested", { backup: "../secrets" }, {}, /malformed backup name/],
  ["about a file without a name", "object.v1.finalized", {}, { eventType: "OBJECT_FINALIZE" }, /bucket|object/],
])("a message %s ends as an operation that says so", async (_name, type, data, attributes, reason) => {
  const { done, error } = await poison(type, data, attributes);
  expect({ done, error }).toEqual({
    done: true,
    error: { code: "INVALID_ARGUMENT", message: expect.stringMatching(reason) },
  });
});

it("a message that names a task of another function neither runs it nor stands in its way", async () => {
  const { endpoint } = await stage.valkey();
  const gate = await stage.gate(endpoint);
  await fillBulk(endpoint, 5);
  await stage.register("busy", gate.endpoint);
  const half = gate.shut("down", 1e6);
  const name = await stage.ask(request, { instance: "busy" });
  await half;
  const [, operation = ""] = name.split("/");
  const attributes = { operation, task: "seal.v1.requested" };
  for (const task of ["shard.v1.requested:0", "seal.v1.requested"]) {
    const { error } = await poison("export.v1.requested", { backup: nightly }, { ...attributes, task });
    expect(error).toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringContaining("its topic carries") });
  }
  gate.open();
  expect((await stage.ended(name)).error).toBeUndefined();
  expect((await stage.tasks(name)).map(({ attempt }) => attempt)).toEqual([1, 1, 1]);
});

it("no such message comes again, on any topic, and nothing changes", { timeout: 60_000 }, async () => {
  const before = await backupsOf(stage, "orders");
  const heard = Object.values(routes).flat();
  const types = eventTypes.filter(
    (type) => type !== "tick.v1" && type !== "watch.v1" && (heard as string[]).includes(type),
  );
  const names: string[] = [];
  for (const type of types)
    for (const [data, attributes] of [
      [nonsense, {}],
      [nothing, { any: "thing" }],
      [nonsense, { operation: "backup-0123456789abcdef", task: "../../x" }],
      [
        nonsense,
        { operation: "backup-0123456789abcdef", task: type === "seal.v1.requested" ? "x" : "seal.v1.requested" },
      ],
    ] as const)
      names.push(nameOf(type, await stage.publish(type, data, attributes)));
  const refusals = async () => {
    const lines = (await stage.log()).filter(({ message }) => message === "malformed message");
    return names.map((name) => lines.filter(({ operation }) => operation === name).length);
  };
  await until(async () => (await refusals()).every((count) => count > 0), "each message to be refused", 20);
  const buried = await Promise.all(
    [nonsense, nothing].map((data) =>
      stage.publish("dead-letter", data, { CloudPubSubDeadLetterSourceSubscription: "x" }),
    ),
  );
  const letters = async () => {
    const lines = (await stage.log()).filter(({ message }) => message === "dead letter of no known topic");
    return lines.map(({ event }) => event).sort();
  };
  await until(async () => (await letters()).length >= buried.length, "the dead letters to be read", 20);
  // The earliest redelivery would come after 10 s.
  await new Promise((resolve) => setTimeout(resolve, 15_000));
  expect(new Set(await refusals())).toEqual(new Set([1]));
  expect(await letters()).toEqual(buried.sort());
  expect(await backupsOf(stage, "orders")).toEqual(before);
});

it("a message of an operation that nobody knows is dropped, once", { timeout: 60_000 }, async () => {
  const operation = "backup-0123456789abcdef";
  await stage.publish(request, { instance: "orders" }, { operation, task: request });
  const drops = async () => (await stage.log()).filter((line) => line.operation === operation);
  expect(await until(async () => nonempty(await drops()), "a drop", 20)).toHaveLength(1);
  expect(await stage.document(`operations/${operation}`)).toBeUndefined();
});

const nonempty = <T>(list: T[]): T[] | undefined => (list.length > 0 ? list : undefined);
