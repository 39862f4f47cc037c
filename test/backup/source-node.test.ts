import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { largestLagBytes, type ShardNode, sourcesOf } from "../../shared/backup/source-node.ts";

const primary: ShardNode = {
  node: "p",
  role: "PRIMARY",
  isLoading: false,
  isLinkUp: true,
  lastIoSeconds: 0,
  replicationId: "history",
  replicationOffset: 100_000_000,
  isForking: false,
  load: 10,
};
const replica = (node: string, changes: Partial<ShardNode> = {}): ShardNode => ({
  ...primary,
  node,
  role: "REPLICA",
  ...changes,
});
const names = (nodes: ShardNode[], choice: Partial<Parameters<typeof sourcesOf>[1]> = {}) =>
  sourcesOf(nodes, { policy: "PREFER_REPLICA", ...choice }, "shard 3").map(({ node }) => node);

const unfit: [why: string, changes: Partial<ShardNode>][] = [
  ["is loading", { isLoading: true }],
  ["has lost its primary", { isLinkUp: false }],
  ["has not heard of its primary for long", { lastIoSeconds: 21 }],
  ["is of another history", { replicationId: "other" }],
  ["is far behind", { replicationOffset: primary.replicationOffset - largestLagBytes - 1 }],
];

describe("the source of a shard", () => {
  it("is the replica with no fork under way, then with less lag, then with less load; the primary comes last", () => {
    const nodes = [
      primary,
      replica("forking", { isForking: true, load: 0 }),
      replica("behind", { replicationOffset: primary.replicationOffset - 200_000, load: 0 }),
      replica("busy", { load: 5 }),
      replica("idle", { load: 1, replicationOffset: primary.replicationOffset - 100 }),
    ];
    expect(names(nodes)).toEqual(["idle", "busy", "behind", "forking", "p"]);
  });

  it.each(unfit)("is not a replica that %s", (_why, changes) => {
    expect(names([primary, replica("r", changes)])).toEqual(["p"]);
    expect(() => names([primary, replica("r", changes)], { policy: "REPLICA_ONLY" })).toThrow(
      expect.objectContaining({ code: "UNAVAILABLE", message: expect.stringContaining("no replica in sync") }),
    );
  });

  it("is the one that was planned among its equals, but not a primary before a replica", () => {
    const nodes = [primary, replica("a"), replica("b", { load: 99, isForking: true })];
    expect(names(nodes, { planned: "b" })).toEqual(["b", "a", "p"]);
    expect(names(nodes, { planned: "p" })).toEqual(["a", "b", "p"]);
  });

  it("is one that has not failed, be it the primary", () => {
    expect(names([primary, replica("a")], { avoid: ["a"] })).toEqual(["p", "a"]);
    expect(names([primary, replica("a"), replica("b")], { avoid: ["a"], planned: "a" })).toEqual(["b", "p", "a"]);
  });

  it("is the primary alone by PRIMARY, and never by REPLICA_ONLY", () => {
    expect(names([primary, replica("a")], { policy: "PRIMARY" })).toEqual(["p"]);
    expect(names([primary, replica("a")], { policy: "REPLICA_ONLY" })).toEqual(["a"]);
  });

  it("is refused where REPLICA_ONLY finds no replica, and says what to do", () => {
    expect(() => names([primary], { policy: "REPLICA_ONLY" })).toThrow(
      expect.objectContaining({
        code: "FAILED_PRECONDITION",
        message: "shard 3 has no replica, and source is REPLICA_ONLY: add one, or set source to PREFER_REPLICA",
      }),
    );
  });

  it("is nobody while there is no primary: no replica is known to be in sync", () => {
    for (const policy of ["PREFER_REPLICA", "REPLICA_ONLY", "PRIMARY"] as const)
      expect(() => names([replica("a")], { policy })).toThrow(expect.objectContaining({ code: "UNAVAILABLE" }));
  });

  it("is always fit, never against the policy, and does not depend on the order in which nodes are told", () => {
    const node = fc.record({
      role: fc.constantFrom("PRIMARY" as const, "REPLICA" as const),
      isLoading: fc.boolean(),
      isLinkUp: fc.boolean(),
      lastIoSeconds: fc.nat({ max: 40 }),
      replicationId: fc.constantFrom("history", "other"),
      replicationOffset: fc.integer({ min: 60_000_000, max: 100_000_000 }),
      isForking: fc.boolean(),
      load: fc.nat({ max: 1000 }),
    });
    const shard = fc
      .tuple(fc.array(node, { maxLength: 5 }), fc.boolean())
      .map(([rest, hasPrimary]) => [
        ...(hasPrimary ? [primary] : []),
        ...rest.map((each, n) => ({ ...each, role: "REPLICA" as const, node: `r${n}` })),
      ]);
    const policies = fc.constantFrom("PREFER_REPLICA" as const, "REPLICA_ONLY" as const, "PRIMARY" as const);
    const avoid = fc.subarray(["p", "r0", "r1", "r2"]);
    fc.assert(
      fc.property(shard, policies, avoid, (nodes, policy, avoided) => {
        const found = (() => {
          try {
            return names(nodes, { policy, avoid: avoided });
          } catch {
            return [];
          }
        })();
        const reversed = [...nodes].reverse();
        if (found.length > 0) expect(names(reversed, { policy, avoid: avoided })).toEqual(found);
        const chosen = nodes.filter((each) => found.includes(each.node));
        expect(
          chosen.every(({ role }) => (role === "PRIMARY" ? policy !== "REPLICA_ONLY" : policy !== "PRIMARY")),
        ).toBe(true);
        expect(chosen.every((each) => !each.isLoading && each.isLinkUp && each.replicationId === "history")).toBe(true);
        const isHealthy = (each: ShardNode) => !avoided.includes(each.node);
        if (chosen.some(isHealthy)) expect(avoided).not.toContain(found[0]);
      }),
    );
  });
});
