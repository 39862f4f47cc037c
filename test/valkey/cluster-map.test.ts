import { describe, expect, it } from "vitest";
import { otherNode } from "../../shared/valkey/address.ts";
import { readShards, readSlots } from "../../shared/valkey/cluster/map.ts";
import type { NodeState } from "../../shared/valkey/cluster/node-state.ts";
import { readOwnLine } from "../../shared/valkey/cluster/own-view.ts";
import { settled } from "../../shared/valkey/cluster/shard.ts";
import { parseInfo } from "../../shared/valkey/info.ts";
import { addressAt } from "./address.ts";

const asked = addressAt("10.0.0.1");
const node = (id: string, changes: Record<string, unknown> = {}): unknown[] =>
  Object.entries({
    ...{ id, port: 6379, ip: "10.0.0.2", endpoint: "10.0.0.2", role: "master", health: "online" },
    ...changes,
  }).flat();
const shard = (slots: number[], ...nodes: unknown[]): unknown[] => ["slots", slots, "nodes", nodes];
const endpoints = (shards: ReturnType<typeof readShards>) =>
  shards.map(({ slots, nodes }) => [slots, ...nodes.map(({ address, role }) => `${role} ${address.endpoint}`)]);

describe("CLUSTER SHARDS", () => {
  it("tells shards that serve slots, and of each the nodes that are online", () => {
    const answer = [
      shard([0, 99, 200, 200], node("a"), node("b", { role: "replica", ip: "", endpoint: "replica.local" })),
      shard([100, 199], node("c", { health: "fail" }), node("d", { role: "replica", health: "loading" })),
      shard([], node("e")),
    ];
    expect(endpoints(readShards(answer, asked))).toEqual([
      ["0-99 200", "PRIMARY 10.0.0.2:6379", "REPLICA replica.local:6379"],
      ["100-199"],
    ]);
  });

  it.each([
    ["its name is not known", { endpoint: "?", ip: "10.0.0.9" }, "10.0.0.9:6379"],
    ["its address is not to be used: it is where we asked", { endpoint: "", ip: "172.17.0.2" }, "10.0.0.1:6379"],
    ["nothing of it is known: it is where we asked", { endpoint: null, ip: "" }, "10.0.0.1:6379"],
    ["it has an address of version 6", { endpoint: "fd00::2" }, "[fd00::2]:6379"],
  ])("tells where a node is if %s", (_when, changes, endpoint) => {
    const [found] = readShards([shard([0, 1], node("a", changes))], asked);
    expect(found?.nodes[0]?.address.endpoint).toBe(endpoint);
  });

  it("tells the port of TLS to who speaks it, and the zone where it is known", () => {
    const told = node("a", { port: 6379, "tls-port": 6380, "availability-zone": "zone-b" });
    const [found] = readShards([shard([0, 1], told)], { ...asked, tls: {} });
    expect(found?.nodes[0]).toMatchObject({ address: { port: 6380 }, zone: "zone-b" });
  });

  it.each([
    ["for TLS", { ...asked, tls: {} }, { port: 6379 }],
    ["for connections without TLS", asked, { port: undefined, "tls-port": 6380 }],
    ["for connections without TLS", asked, { port: 0 }],
  ])("refuses a node that has no port %s", (which, address, changes) => {
    expect(() => readShards([shard([0, 1], node("a", changes))], address)).toThrow(
      expect.objectContaining({
        code: "FAILED_PRECONDITION",
        message: expect.stringContaining(`without a port ${which}`),
      }),
    );
  });

  it.each([[null], ["OK"], [[]], [[["slots"]]]])("that answers %j tells no shard", (answer) => {
    expect(readShards(answer, asked)).toEqual([]);
  });
});

describe("CLUSTER SLOTS", () => {
  it("tells the same, its stretches put together by their primary", () => {
    const [a, b, c] = [
      ["10.0.0.2", 6379, "a"],
      ["10.0.0.3", 6379, "b"],
      [null, 6379, "c", ["hostname", "x"]],
    ];
    const answer = [
      [0, 99, a, b],
      [200, 200, a, b],
      [100, 199, c],
    ];
    expect(endpoints(readSlots(answer, asked))).toEqual([
      ["0-99 200", "PRIMARY 10.0.0.2:6379", "REPLICA 10.0.0.3:6379"],
      ["100-199", "PRIMARY 10.0.0.1:6379"],
    ]);
  });
});

describe("a node's own line of CLUSTER NODES", () => {
  const other = "b 10.0.0.3:6379@16379 master - 0 1 7 connected 100-199";

  it("tells its role, epoch and slots, and whether some are moving", () => {
    const own = "a 10.0.0.2:6379@16379,name,shard-id=x myself,master - 0 0 5 connected 0-99 200";
    const view = { id: "a", isPrimary: true, epoch: 5, slots: "0-99 200", isMoving: false };
    expect(readOwnLine(`${other}\n${own}\n`)).toEqual(view);
    expect(readOwnLine(`${own} [7->-b]\n${other}\n`)).toEqual({ ...view, isMoving: true });
    expect(readOwnLine(`${own} [300-<-b]\n`)).toEqual({ ...view, isMoving: true });
    const replica = readOwnLine(`${other}\na 10.0.0.2:6379@16379 myself,slave b 0 0 7 connected\n`);
    expect(replica).toMatchObject({ isPrimary: false, slots: "" });
  });

  it("is not that of another node by the name of `myself`", () => {
    const named = "b 10.0.0.3:6379@16379,myself.example master - 0 1 7 connected 100-199";
    expect(readOwnLine(`${named}\na 10.0.0.2:6379@16379 myself,master - 0 0 5 connected 0-99\n`).id).toBe("a");
  });

  it.each(["", "OK", other])("that is missing is an error: %j", (nodes) => {
    expect(() => readOwnLine(nodes)).toThrow("names no node as `myself`");
  });
});

describe("a shard as its primary knows it", () => {
  const own = { id: "a", isPrimary: true, epoch: 5, slots: "0-99", isMoving: false, isUp: true };
  const state = (changes: Partial<NodeState> = {}): NodeState => ({
    ...{ node: "a", role: "PRIMARY", isLoading: false, isLinkUp: true, lastIoSeconds: 0, replicationId: "x" },
    ...{ replicationOffset: 1, isForking: false, load: 0, address: asked, info: parseInfo(""), own, ...changes },
  });
  const settle = (...nodes: NodeState[]) => settled("shard 3", { slots: "0-99", nodes: [] }, nodes);

  it("is that of the later epoch, where one has not heard of its successor", () => {
    const heir = state({ node: "b", own: { ...own, id: "b", epoch: 6 }, address: otherNode(asked, "10.0.0.9", 6379) });
    expect(settle(state(), heir).primary.node).toBe("b");
    expect(settle(heir, state()).primary.node).toBe("b");
  });

  it("has that one for its only primary to read: the other's history is over", () => {
    const heir = state({ node: "b", own: { ...own, id: "b", epoch: 6 } });
    const { own: _, ...replica } = state({ node: "c", role: "REPLICA" });
    expect(settle(state(), heir, replica).nodes).toEqual([heir, replica]);
  });

  it("is nothing to be read while none of two primaries is the later", () => {
    const heir = state({ node: "b", own: { ...own, id: "b" } });
    expect(() => settle(state(), heir)).toThrow(
      expect.objectContaining({ code: "UNAVAILABLE", message: expect.stringContaining("both hold themselves") }),
    );
  });

  it("names the nodes that cannot be reached, where no primary answers", () => {
    const nodes = [{ id: "z", address: otherNode(asked, "172.17.0.2", 6379), role: "PRIMARY" as const }];
    expect(() => settled("shard 3", { slots: "0-99", nodes }, [])).toThrow(/172\.17\.0\.2:6379 cannot be reached/);
  });

  it.each<[string, NodeState[], string, RegExp]>([
    ["nobody answers", [], "UNAVAILABLE", /no primary that answers/],
    ["a stranger answers", [state({ own: { ...own, id: "x" } })], "UNAVAILABLE", /no primary that answers/],
    ["it is loading", [state({ isLoading: true })], "UNAVAILABLE", /no primary that answers/],
    ["it is cut off", [state({ own: { ...own, isUp: false } })], "UNAVAILABLE", /the cluster is down/],
    ["others know other slots", [state({ own: { ...own, slots: "0-98" } })], "UNAVAILABLE", /do not agree yet/],
    ["slots are moving", [state({ own: { ...own, isMoving: true } })], "FAILED_PRECONDITION", /slots are moving/],
  ])("is nothing to be read while %s", (_when, nodes, code, message) => {
    expect(() => settle(...nodes)).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }));
  });
});
