import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Backup, BackupFile } from "../../shared/backup/backup.ts";
import { added, emptyCollection } from "../../shared/backup/collection.ts";
import { manifestBytes } from "../../shared/backup/manifest.ts";
import {
  backupName,
  fileObject,
  manifestObject,
  parseObjectName,
  segmentFolder,
  segmentName,
} from "../../shared/backup/name.ts";
import { rebuiltBackup } from "../../shared/backup/rebuild.ts";
import { inReview } from "../../shared/backup/review.ts";
import { StatusError } from "../../shared/error.ts";

const now = "2026-03-01T00:00:00.000Z";
const name = backupName("orders", "nightly");

const file = (shard: number, fields: Partial<BackupFile> = {}): BackupFile => ({
  fileName: `${shard}.rdb`,
  createTime: "2026-02-01T00:00:01.000Z",
  generation: `17000000000000${shard}`,
  crc32c: "yZRlqg==",
  sizeBytes: 100 + shard,
  magic: "VALKEY",
  rdbVersion: 80,
  minimumRdbVersion: 11,
  crc64: "ok",
  keys: 3,
  expires: 1,
  functions: 0,
  databases: { "0": { keys: 3, expires: 1, types: { string: 2, hash: 1 } } },
  largestRecordBytes: 40,
  moduleTypes: [],
  slotImports: 0,
  ...fields,
});

const backup = (fields: Partial<Backup> = {}): Backup => ({
  name,
  uid: "5c2f7b0e-0000-4000-8000-000000000000",
  instance: "instances/orders",
  instanceUid: "1a2b3c4d",
  location: "asia-northeast1",
  bucket: "vault",
  operation: "operations/backup-0123456789abcdef",
  state: "ACTIVE",
  backupType: "ON_DEMAND",
  createTime: "2026-02-01T00:00:00.000Z",
  expireTime: "2027-02-01T00:00:00.000Z",
  totalSizeBytes: 201,
  mode: "CLUSTER",
  shardCount: 2,
  replicaCount: 0,
  backupFiles: [file(0), file(1)],
  verification: "CHECKED",
  pins: [],
  ...fields,
});

describe("a rebuilt backup", () => {
  it.each<[string, Partial<Backup>]>([
    ["plain", {}],
    ["of a node type and a version", { nodeType: "standard-small", engineVersion: "Valkey 8.1.3" }],
    ["that is FINAL", { backupType: "FINAL" }],
    ["of a server that told its memory", { backupFiles: [file(0, { usedMemoryBytes: 7 }), file(1)] }],
  ])("is the one that the manifest was written of: %s", (_, fields) => {
    expect(rebuiltBackup(manifestBytes(backup(fields)), name, "vault", now)).toEqual(inReview(backup(fields)));
  });

  it.each([
    ["2026-02-28T00:00:00.000Z", "2026-03-02T00:00:00.000Z"],
    ["2026-03-01T23:59:59.999Z", "2026-03-02T00:00:00.000Z"],
    ["2026-03-02T00:00:00.001Z", "2026-03-02T00:00:00.001Z"],
  ])("that expires at %s expires at %s", (expireTime, expected) => {
    expect(rebuiltBackup(manifestBytes(backup({ expireTime })), name, "vault", now).expireTime).toBe(expected);
  });

  it("of as many shards as a cluster can have is small enough", () => {
    const backupFiles = Array.from({ length: 999 }, (_, shard) => file(shard));
    const totalSizeBytes = backupFiles.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    const whole = backup({ backupFiles, shardCount: 999, totalSizeBytes });
    expect(rebuiltBackup(manifestBytes(whole), name, "vault", now)).toEqual(inReview(whole));
  });

  it("of a shard whose slots lie scattered over the whole cluster is taken over like any other", () => {
    const thirds = Array.from({ length: 5_461 }, (_, n) => 3 * n);
    const pairs = thirds.map((slot) => `${slot}-${slot + 1}`).join(" ");
    const others = thirds.map((slot) => `${slot + 2}`).join(" ");
    const backupFiles = [file(0, { slots: pairs }), file(1, { slots: others })];
    const scattered = backup({ backupFiles });
    expect(rebuiltBackup(manifestBytes(scattered), name, "vault", now)).toEqual(inReview(scattered));
  });

  it("too large for a document is refused", () => {
    const moduleTypes = Array.from({ length: 5_000 }, () => "m".repeat(200));
    const bytes = manifestBytes(backup({ backupFiles: [file(0, { moduleTypes }), file(1)] }));
    expect(() => rebuiltBackup(bytes, name, "vault", now)).toThrow(/does not fit into a document/);
  });

  it("is never made of anything else, and what is wrong is always said in our own words", () => {
    const bytes = Buffer.from(manifestBytes(backup()));
    const attempt = (damaged: Uint8Array) => {
      try {
        return rebuiltBackup(damaged, name, "vault", now);
      } catch (error) {
        expect(error).toBeInstanceOf(StatusError);
        expect(["DATA_LOSS", "UNIMPLEMENTED"]).toContain((error as StatusError).code);
        return undefined;
      }
    };
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.uint8Array({ maxLength: 12 }), fc.nat(20), (at, put, cut) => {
        const made = attempt(Buffer.concat([bytes.subarray(0, at), put, bytes.subarray(at + cut)]));
        expect(made?.name ?? name).toBe(name);
        expect(made?.backupFiles.length ?? 2).toBe(made?.shardCount ?? 2);
      }),
      { numRuns: 2_000 },
    );
    fc.assert(fc.property(fc.json(), (text) => attempt(Buffer.from(text)) === undefined));
  });
});

describe("the name of an object", () => {
  it.each([0, 7, 10, 999])("of shard %i leads back to the backup", (shard) => {
    expect(parseObjectName(fileObject(name, shard))).toEqual({ backup: name, shard });
  });
  it("of a manifest leads back to the backup", () => {
    expect(parseObjectName(manifestObject(name))).toEqual({ backup: name });
  });
  it.each(["", "-joined"])("of a segment%s leads back to the backup", (suffix) => {
    const object = segmentFolder(name, 7) + segmentName(`20260101T020000000Z${suffix}`, 3);
    expect(parseObjectName(object)).toEqual({ backup: name, shard: 7 });
  });
  it("that leads to a backup is always the one that we would write", () => {
    const piece = fc.constantFrom(
      "backupCollections",
      "orders",
      "backups",
      "a_b",
      "..",
      "",
      "0.rdb",
      "01.rdb",
      "manifest.json",
      "x\n",
      "é",
    );
    fc.assert(
      fc.property(fc.array(piece, { minLength: 3, maxLength: 6 }), (pieces) => {
        const object = pieces.join("/");
        const place = parseObjectName(object);
        if (place === undefined) return;
        const { backup, shard } = place;
        expect(shard === undefined ? manifestObject(backup) : fileObject(backup, shard)).toBe(object);
      }),
      { numRuns: 5_000 },
    );
  });
});

describe("the totals of a collection", () => {
  it("count what is ACTIVE or DELETING, and know the newest", () => {
    const totals = [
      backup({ createTime: "2026-02-03T00:00:00.000Z" }),
      backup({ createTime: "2026-02-02T00:00:00.000Z", state: "DELETING" }),
      backup({ createTime: "2026-02-09T00:00:00.000Z", state: "CREATING" }),
    ].reduce(added, emptyCollection(backup(), now));
    expect(totals).toEqual({
      totalBackupCount: 2,
      totalBackupSizeBytes: 402,
      lastBackupTime: "2026-02-03T00:00:00.000Z",
    });
  });
});
