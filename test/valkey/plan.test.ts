import { expect, it } from "vitest";
import { gapIn } from "../../shared/backup/slots.ts";
import { startSimulatedCluster } from "../fixture/simulated-cluster.ts";
import { calm, instanceAt, valkey } from "./fixture.ts";

it("a cluster of 250 shards is planned: every slot once, replicas on hosts and in zones of their own, seeds from all over", async () => {
  await using cluster = await startSimulatedCluster(250);
  const instance = instanceAt(cluster.endpoint, { mode: "CLUSTER" });
  const { shards, seeds } = await valkey.plan(instance, calm());
  expect(shards).toHaveLength(250);
  expect(gapIn(shards.map(({ slots = "" }) => slots))).toBeUndefined();
  expect(shards.every(({ node }) => Number.parseInt(node ?? "", 16) % 2 === 1)).toBe(true);
  expect(new Set(shards.map(({ host }) => host)).size).toBe(250);
  expect(new Set(shards.map(({ zone }) => zone)).size).toBe(3);
  expect(new Set(seeds.map(({ endpoint }) => endpoint)).size).toBe(8);
  expect(seeds.map(({ endpoint }) => endpoint)).not.toContain(cluster.endpoint);
});

it("a cluster of 250 shards is known by eight of its nodes, the same ones whichever node is asked", async () => {
  await using cluster = await startSimulatedCluster(250);
  const endpoints = [cluster.endpoint, cluster.endpoint.replace("127.1.0.0", "127.2.0.9")];
  const asked = endpoints.map((endpoint) => valkey.describe(instanceAt(endpoint, { mode: "CLUSTER" }), calm()));
  const [one, other] = (await Promise.all(asked)).map(({ ids }) => ids);
  expect(new Set(one).size).toBe(8);
  expect(other).toEqual(one);
});
