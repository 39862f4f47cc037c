import { describe, expect, it } from "vitest";
import { assertCollection, assertDistinct, assertDocument } from "../../shared/backup/path.ts";

const longest = "x".repeat(1500);

describe("the path of a document", () => {
  it.each(["instances/orders", "a/b/c/d", "a/...", `a/${longest}`, "a/__b", "a/b__"])("may be %s", (path) => {
    expect(() => assertDocument(path)).not.toThrow();
  });
  it.each([
    ["", "empty"],
    ["instances", "a collection"],
    ["a/b/c", "a collection below a document"],
    ["a//b/c", "with an empty segment"],
    ["a/.", "a dot alone"],
    ["a/..", "two dots"],
    ["a/__b__", "reserved"],
    [`a/${longest}x`, "longer than 1,500 bytes"],
    [`a/${"é".repeat(751)}`, "longer than 1,500 bytes, though not than 1,500 characters"],
  ])("is not %j: %s", (path) => {
    expect(() => assertDocument(path)).toThrow(/^malformed document path .*: expected COLLECTION\/DOCUMENT/);
  });
  it("is shown no further than 200 characters when it is refused", () => {
    expect(() => assertDocument("x".repeat(5_000))).toThrow(/"x{200}": expected/);
  });
});

describe("the path of a collection", () => {
  it.each([
    ["instances", false],
    ["instances", true],
    ["a/b/c", false],
  ])("may be %s (group: %s)", (path, isGroup) => {
    expect(() => assertCollection(path, isGroup)).not.toThrow();
  });
  it.each([
    ["", false, /expected the path of a collection/],
    ["a/b", false, /expected the path of a collection/],
    ["a/../c", false, /expected the path of a collection/],
    ["a/b/c", true, /expected the last segment of collections/],
    ["__a__", true, /expected the last segment of collections/],
  ])("is not %j (group: %s)", (path, isGroup, reason) => {
    expect(() => assertCollection(path, isGroup)).toThrow(reason);
  });
});

describe("one batch", () => {
  it("writes no document twice", () => {
    expect(() => assertDistinct(["a/b", "a/c"])).not.toThrow();
    expect(() => assertDistinct(["a/b", "a/c", "a/b"])).toThrow(/^a\/b is written twice in one batch$/);
  });
});
