import { expect, it } from "vitest";
import type { Query } from "../../shared/pipeline/ports.ts";
import { isIndexed } from "./indexed.ts";
import { createWorld } from "./world.ts";

const done = ["done", "==", true] as const;

it.each<[string, boolean, Query]>([
  ["everything", true, { collection: "operations" }],
  ["what is equal in several fields", true, { collection: "operations", where: [[...done], ["verb", "==", "sweep"]] }],
  ["an order of one field", true, { collection: "a/b/backups", orderBy: { field: "createTime", direction: "desc" } }],
  [
    "an order beside what is equal, with an index",
    true,
    { collection: "operations", where: [[...done]], orderBy: { field: "deadlineTime", direction: "asc" } },
  ],
  [
    "the same in the other direction",
    false,
    { collection: "operations", where: [[...done]], orderBy: { field: "deadlineTime", direction: "desc" } },
  ],
  ["a comparison beside what is equal", false, { collection: "operations", where: [[...done], ["endTime", "<", "2"]] }],
  ["all of a group", true, { collection: "backups", group: true }],
  ["a field of a group, with an index", true, { collection: "tasks", group: true, where: [["relayTime", "<=", "2"]] }],
  ["another field of a group", false, { collection: "tasks", group: true, where: [[...done]] }],
])("Firestore answers a query of %s: %s", (_, isAnswered, query) => {
  expect(isIndexed(query)).toBe(isAnswered);
});

it("the world of these tests answers no query that Firestore would not", async () => {
  const { store } = createWorld().ports;
  await expect(store.query({ collection: "tasks", group: true, where: [[...done]] })).rejects.toThrow(/has no index/);
});
