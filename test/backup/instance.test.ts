import { describe, expect, it } from "vitest";
import {
  changedInstance,
  endpointOf,
  type InstanceFlags,
  instanceIdAt,
  isReachedAnew,
  newInstance,
} from "../../shared/backup/instance.ts";

const now = "2026-01-01T00:00:00.000Z";
const pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";

function made(flags: InstanceFlags = {}) {
  return newInstance({ ...flags, id: "orders", endpoint: "10.0.0.3:6379", location: "asia-northeast1" }, "uid", now);
}

describe("a registered instance", () => {
  it("has Memorystore's defaults", () => {
    expect(made()).toEqual({
      name: "instances/orders",
      uid: "uid",
      engine: "SELF_MANAGED",
      mode: "CLUSTER_DISABLED",
      endpoint: "10.0.0.3:6379",
      transitEncryptionMode: "TRANSIT_ENCRYPTION_DISABLED",
      location: "asia-northeast1",
      shardCount: 1,
      replicaCount: 0,
      automatedBackupConfig: { automatedBackupMode: "DISABLED", retentionSeconds: 35 * 86_400 },
      deletionProtectionEnabled: false,
      createTime: now,
    });
  });

  it("has the objective that was set, until its schedule tells again", () => {
    const set = made({ backupObjective: "26h" });
    expect(set.backupObjective).toBe(26 * 3600);
    expect(changedInstance(set, { retention: "30d" }, now).backupObjective).toBe(26 * 3600);
    expect(changedInstance(set, { backupObjective: "schedule" }, now)).not.toHaveProperty("backupObjective");
  });

  it("has the method of its snapshots and, for the volume, the data directory, until another is set", () => {
    const set = made({ snapshotMethod: "volume", dataDirectory: "/mnt/orders" });
    expect(set).toMatchObject({ snapshotMethod: "VOLUME", dataDirectory: "/mnt/orders" });
    expect(changedInstance(set, { dataDirectory: "/mnt/more" }, now).dataDirectory).toBe("/mnt/more");
    expect(changedInstance(set, { retention: "30d" }, now)).toMatchObject({ dataDirectory: "/mnt/orders" });
    const scanned = changedInstance(set, { snapshotMethod: "scan", maxKeysPerSecond: "50000" }, now);
    expect(scanned).toMatchObject({ snapshotMethod: "SCAN", maxKeysPerSecond: 50_000 });
    const automatic = changedInstance(scanned, { snapshotMethod: "automatic", maxKeysPerSecond: "none" }, now);
    expect(automatic).not.toHaveProperty("snapshotMethod");
    expect(automatic).not.toHaveProperty("maxKeysPerSecond");
    const other = changedInstance(set, { snapshotMethod: "replication" }, now);
    expect(other).toMatchObject({ snapshotMethod: "REPLICATION" });
    expect(other).not.toHaveProperty("dataDirectory");
  });

  it.each([
    [{ maxKeysPerSecond: "0" }, /malformed max keys per second "0": expected 1 to 10000000, or none/],
    [{ maxKeysPerSecond: "fast" }, /malformed max keys per second "fast"/],
    [{ snapshotMethod: "volume" }, /needs the server's data directory .* --data-directory/],
    [{ dataDirectory: "/mnt/orders" }, /of use only with snapshot method volume/],
    [{ snapshotMethod: "volume", dataDirectory: "/mnt/orders", mode: "cluster" }, /a cluster has several/],
    [{ snapshotMethod: "dump" }, /snapshot method/],
    ...["mnt", "/", "/mnt/", "/mnt/../etc", "/mnt/./a", "/mnt//a", "/mnt/\n", `/${"a".repeat(500)}`].map(
      (dataDirectory) => [{ snapshotMethod: "volume", dataDirectory }, /malformed data directory/] as const,
    ),
  ] as const)("refuses %j", (flags, message) => {
    expect(() => made(flags)).toThrow(message);
  });

  it.each(["59s", "367d", "26", "never"])("refuses the objective %s", (backupObjective) => {
    expect(() => made({ backupObjective })).toThrow(/objective .* out of bounds|malformed duration/);
  });

  it("takes every flag", () => {
    const instance = made({
      mode: "cluster",
      transitEncryptionMode: "server-authentication",
      caCertificate: pem,
      authUser: "backup",
      authSecret: "file:orders/password",
      automatedBackupMode: "enabled",
      startTimeHours: "2",
      retention: "30d",
      deletionProtectionEnabled: true,
    });
    expect(instance).toMatchObject({
      mode: "CLUSTER",
      transitEncryptionMode: "SERVER_AUTHENTICATION",
      caCertificate: pem,
      authUser: "backup",
      authSecret: "file:orders/password",
      automatedBackupConfig: {
        automatedBackupMode: "ENABLED",
        fixedFrequencySchedule: { startTime: { hours: 2 } },
        retentionSeconds: 30 * 86_400,
      },
      deletionProtectionEnabled: true,
    });
  });

  it.each([
    ["highmem-medium", "HIGHMEM_MEDIUM"],
    ["SHARED_CORE_NANO", "SHARED_CORE_NANO"],
    ["of-some-later-year-2", "OF_SOME_LATER_YEAR_2"],
  ])("reads the node type %s", (nodeType, wanted) => {
    expect(made({ nodeType }).nodeType).toBe(wanted);
  });

  it("reads its counts up to 250", () => {
    expect(made({ shardCount: "250", replicaCount: "0" })).toMatchObject({ shardCount: 250, replicaCount: 0 });
  });

  it.each([["cluster-disabled"], ["CLUSTER_DISABLED"], ["Cluster-Disabled"]])("reads the mode %s", (mode) => {
    expect(made({ mode }).mode).toBe("CLUSTER_DISABLED");
  });

  it.each([
    ["disabled"],
    ["transit-encryption-disabled"],
    ["TRANSIT_ENCRYPTION_DISABLED"],
  ])("reads the transit encryption mode %s", (transitEncryptionMode) => {
    expect(made({ transitEncryptionMode }).transitEncryptionMode).toBe("TRANSIT_ENCRYPTION_DISABLED");
  });

  it("keeps the nodes that a backup found, until it is reached anew", () => {
    const found = { ...made({ mode: "cluster" }), seeds: [{ endpoint: "10.0.0.4:6379", node: "a" }] };
    expect(changedInstance(found, { source: "replica-only", maxParallelShards: "3" }, now)).toMatchObject({
      source: "REPLICA_ONLY",
      maxParallelShards: 3,
      seeds: [{ endpoint: "10.0.0.4:6379", node: "a" }],
    });
    expect(changedInstance(found, { endpoint: "10.1.0.3:6379" }, now)).not.toHaveProperty("seeds");
  });

  it.each<[string, InstanceFlags, RegExp]>([
    ["an unknown mode", { mode: "sentinel" }, /expected one of cluster-disabled, cluster/],
    ["a mode that is a name of Object's", { mode: "constructor" }, /unknown mode/],
    ["an unknown encryption", { transitEncryptionMode: "yes" }, /expected one of .*server-authentication/],
    ["an unknown backup mode", { automatedBackupMode: "on" }, /expected one of enabled, disabled/],
    ["no shards", { shardCount: "0" }, /malformed shard count "0": expected 1 to 250/],
    ["too many replicas", { replicaCount: "251" }, /malformed replica count "251": expected 0 to 250/],
    ["half a replica", { replicaCount: "0.5" }, /malformed replica count/],
    ["no count", { shardCount: "" }, /malformed shard count/],
    [
      "an unknown source",
      { source: "any" },
      /unknown source "any": expected one of prefer-replica, replica-only, primary/,
    ],
    ["no shards at once", { maxParallelShards: "0" }, /malformed max parallel shards "0": expected 1 to 250/],
    ["too many shards at once", { maxParallelShards: "251" }, /malformed max parallel shards/],
    ["a node type with a slash", { nodeType: "a/b" }, /malformed node type/],
    ["no node type", { nodeType: "" }, /malformed node type/],
    ["hour 24", { startTimeHours: "24" }, /whole hour from 0 to 23/],
    ["hour -1", { startTimeHours: "-1" }, /whole hour/],
    ["half an hour", { startTimeHours: "2.5" }, /whole hour/],
    ["an empty hour", { startTimeHours: "" }, /whole hour/],
    ["retention 366d", { retention: "366d" }, /1d to 365d/],
    ["retention 36h", { retention: "36h" }, /whole days/],
    ["retention without a unit", { retention: "30" }, /malformed duration/],
    ["a location with a slash", { location: "asia/x" }, /malformed location/],
    ["a user with a space", { authUser: "a b" }, /ACL user/],
    ["a CA that is no PEM", { transitEncryptionMode: "server-authentication", caCertificate: "x" }, /expected PEM/],
    ["a CA without TLS", { caCertificate: pem }, /only with transit encryption mode/],
    ["a secret reference that leads out", { authSecret: "file:../x" }, /malformed reference/],
    ["an absolute secret path", { authSecret: "file:/etc/shadow" }, /malformed reference/],
    ["a secret of another kind", { authSecret: "sm://x" }, /malformed reference/],
  ])("refuses %s", (_, flags, message) => {
    expect(() => changedInstance(made(), flags, now)).toThrow(message);
  });

  it("never repeats what may be the password itself", () => {
    expect(() => made({ authSecret: "hunter2" })).toThrow(/^(?!.*hunter2).*$/s);
  });
});

describe("an endpoint", () => {
  it.each([
    ["127.0.0.1:7002", "127.0.0.1:7002"],
    ["Valkey.Example.com:6379", "valkey.example.com:6379"],
    ["[2001:DB8::1]:6379", "[2001:db8::1]:6379"],
    ["host:06379", "host:6379"],
  ])("%s is %s", (text, endpoint) => expect(endpointOf(text)).toBe(endpoint));

  it.each([
    "host",
    "host:",
    ":6379",
    "host:0",
    "host:65536",
    "host:x",
    "redis://host:6379",
    "host:6379/0",
    "a b:1",
  ])("%j is refused", (text) => expect(() => endpointOf(text)).toThrow(/expected HOST:PORT/));

  it.each([
    "2001:db8::1:6379",
    "[::1:6379",
    "host:6379\n",
    "-host:1",
    "user@host:1",
    `${"h".repeat(300)}:1`,
  ])("%j is refused", (text) => expect(() => endpointOf(text)).toThrow(/expected HOST:PORT/));

  it.each([
    ["127.0.0.1:7002", "at-127-0-0-1-7002"],
    ["[::1]:7002", "at-1-7002"],
    [`${"h".repeat(80)}:1`, `at-${"h".repeat(60)}`],
  ])("%s gives the id %s", (endpoint, id) => expect(instanceIdAt(endpoint)).toBe(id));
});

describe("a changed instance", () => {
  it("keeps what no flag names", () => {
    const before = made({ authSecret: "env:PASSWORD", retention: "7d" });
    expect(changedInstance(before, {}, now)).toEqual(before);
  });

  it("loses its certificate with its encryption", () => {
    const before = made({ transitEncryptionMode: "server-authentication", caCertificate: pem });
    expect(changedInstance(before, { transitEncryptionMode: "disabled" }, now)).not.toHaveProperty("caCertificate");
  });

  it("loses the user and the secret when they are cleared", () => {
    const before = made({ authUser: "backup", authSecret: "env:PASSWORD" });
    const after = changedInstance(before, { clearAuth: true }, now);
    expect([after.authUser, after.authSecret]).toEqual([undefined, undefined]);
  });

  it("keeps the hour when only the retention changes", () => {
    const before = made({ automatedBackupMode: "enabled", startTimeHours: "5" });
    expect(changedInstance(before, { retention: "7d" }, now).automatedBackupConfig).toEqual({
      automatedBackupMode: "ENABLED",
      fixedFrequencySchedule: { startTime: { hours: 5 } },
      retentionSeconds: 7 * 86_400,
      changeTime: now,
    });
  });

  it("is reached anew at another endpoint, not with another retention", () => {
    const before = made();
    expect(isReachedAnew(before, changedInstance(before, { retention: "7d" }, now))).toBe(false);
    expect(isReachedAnew(before, changedInstance(before, { endpoint: "10.0.0.4:6379" }, now))).toBe(true);
  });
});
