import { randomBytes } from "node:crypto";
import { StatusError } from "../../error.ts";
import type { ScanMark, ScanOptions } from "../../pipeline/ports.ts";
import type { RdbEntry } from "../../rdb/entry.ts";
import type { Format } from "../../rdb/header.ts";
import { payloadFooterBytes } from "../../rdb/payload.ts";
import { RdbStream } from "../../rdb/rdb-stream.ts";
import { records } from "../../rdb/records.ts";
import type { Address } from "../address.ts";
import { notValkey } from "../failure.ts";
import { type Info, parseInfo } from "../info.ts";
import { Link } from "../link.ts";
import { requirePrimaryLink } from "../primary-link.ts";
import { Checkpoints } from "./checkpoints.ts";
import { Dumping } from "./dumping.ts";
import { fingerprintKey } from "./fingerprint.ts";
import { KeyBatch } from "./key-batch.ts";
import { Pace } from "./pace.ts";
import { positionOf } from "./position.ts";
import { RecentKeys } from "./recent-keys.ts";
import { Session } from "./session.ts";
import { Walk } from "./walk.ts";

const usualSilenceMs = 30_000;

/** Two of them stand between the socket and the file. */
const slabBytes = 512 * 1024;

/** From this RDB version on a file is Valkey's own (rdb.h, RDB_FOREIGN_VERSION_MAX). */
const firstValkeyVersion = 80;

export interface ScanPatience {
  maxKeysPerSecond?: number | undefined;
  /** How long the server may be silent; 30 s where absent. */
  silenceMs?: number | undefined;
}

/** Everything of one scan. */
interface Scene {
  address: Address;
  session: Session;
  info: Info;
  options: ScanOptions;
  recent: RecentKeys;
  checkpoints: Checkpoints;
  pace: Pace;
  out: RdbStream;
  rdbVersion: number;
  signal: AbortSignal;
}

/** One server's data set as an RDB file, by SCAN and DUMP: see the port. A piece is valid until the next one is asked for. */
export async function* scan(
  address: Address,
  options: ScanOptions,
  signal: AbortSignal,
  { maxKeysPerSecond, silenceMs = usualSilenceMs }: ScanPatience = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  const link = await Link.open(address, signal, { slabBytes });
  try {
    const session = new Session(address, link, silenceMs);
    const info = await askInfo(session, address);
    requirePrimaryLink(info, address);
    const { from } = options;
    if (from !== undefined && from.runId !== info.get("run_id")) throw otherProcess(address);
    if (info.get("cluster_enabled") === "1" && info.get("role") === "slave") await session.ask("READONLY");
    const out = new RdbStream(from && { offset: from.offset, crc64: BigInt(`0x${from.crc64}`) });
    const rdbVersion = from?.rdbVersion ?? (await begin(session, out, info));
    const recent = new RecentKeys(fingerprintKey(randomBytes(16)));
    const [checkpoints, pace] = [new Checkpoints(), new Pace(maxKeysPerSecond)];
    yield* databases({ address, session, info, options, recent, checkpoints, pace, out, rdbVersion, signal });
  } finally {
    link.close();
  }
}

async function* databases(scene: Scene): AsyncGenerator<Uint8Array, void, undefined> {
  const { info, options, out, checkpoints } = scene;
  const { from } = options;
  const numbers = Object.keys(info.databases).map(Number);
  if (from !== undefined && from.cursor !== "0" && !numbers.includes(from.database)) numbers.push(from.database);
  const rest = numbers.filter((database) => database >= (from?.database ?? 0)).sort((a, b) => a - b);
  for (const database of rest) {
    const start = from?.database === database && from.cursor !== "0" ? from : undefined;
    if (start === undefined && out.offset > (from?.offset ?? 0) && options.isTimeUp()) {
      if (out.waitingBytes > 0) yield out.take();
      return options.onEnd(markAt(scene, database, "0", { offset: out.offset, horizon: "0" }));
    }
    const reading = await beginDatabase(scene, database, start);
    yield* reading.pieces();
    const { at } = reading;
    if (at !== undefined && at.cursor !== "0")
      return options.onEnd(markAt(scene, database, at.cursor, checkpoints.recent(at.end, out.offset)));
  }
  if (out.waitingBytes > 0) yield out.take();
  yield out.end();
  options.onEnd(undefined);
}

/** Selects a database, in the server and in the file, and gets ready to read it, or to go on. */
async function beginDatabase(scene: Scene, database: number, start: ScanMark | undefined): Promise<Dumping> {
  const { session, info, options, recent, checkpoints, pace, out, rdbVersion, signal } = scene;
  const hasTablePerSlot = info.get("cluster_enabled") === "1" && keepsTablePerSlot(info);
  if (database !== 0) await session.ask("SELECT", String(database));
  if (start === undefined) {
    out.selectDatabase(database);
    const { keys = 0, expires = 0 } = info.databases[database] ?? {};
    out.databaseSize(keys, expires);
    recent.clear();
    checkpoints.begin(0, out.offset);
  } else {
    const end = positionOf(start.cursor, hasTablePerSlot);
    recent.clear(BigInt(start.recent.horizon));
    await learn(scene, start);
    recent.endCall(end.position);
    checkpoints.begin(end.slot, start.recent.offset, BigInt(start.recent.horizon));
  }
  const walk = new Walk(start?.cursor ?? "0", hasTablePerSlot, recent);
  const isCluster = info.get("cluster_enabled") === "1";
  const { isTimeUp } = options;
  return new Dumping({ session, walk, pace, checkpoints, file: { out, rdbVersion }, isCluster, isTimeUp, signal });
}

/** Reads the keys again that an earlier call has written last. */
async function learn({ options, recent }: Scene, { recent: { offset }, ...start }: ScanMark): Promise<void> {
  if (offset === start.offset || options.written === undefined) return;
  const format = formatOf(start.rdbVersion);
  const stretch = { startOffset: offset, endOffset: start.offset, db: start.database, ...format };
  const file = options.written({ start: offset, end: start.offset });
  for await (const entries of records(file, { stretch, limitBytes: 0 })) recent.sift(keysOf(entries));
}

function keysOf(entries: readonly RdbEntry[]): KeyBatch {
  const keys = new KeyBatch();
  for (const entry of entries) {
    if (entry.kind !== "record") continue;
    keys.append(entry.key, 0, entry.key.length);
    keys.close();
  }
  return keys;
}

/** Writes the file's beginning: the functions, which tell the RDB version too. */
async function begin(session: Session, out: RdbStream, info: Info): Promise<number> {
  const functions = await session.ask("FUNCTION", "DUMP");
  const end = functions.length - payloadFooterBytes;
  const rdbVersion = functions.readUInt16LE(end);
  out.header(formatOf(rdbVersion));
  const valkey = info.get("valkey_version");
  out.aux(valkey === undefined ? "redis-ver" : "valkey-ver", valkey ?? info.get("redis_version") ?? "");
  out.aux("redis-bits", info.get("arch_bits") ?? "64");
  out.aux("ctime", String(Math.floor(info.number("server_time_usec") / 1e6)));
  out.aux("used-mem", String(info.number("used_memory")));
  out.append(functions, 0, end);
  return rdbVersion;
}

const formatOf = (rdbVersion: number): Format => ({
  magic: rdbVersion < firstValkeyVersion ? "REDIS" : "VALKEY",
  rdbVersion,
});

function markAt(scene: Scene, database: number, cursor: string, recent: ScanMark["recent"]): ScanMark {
  const { address, info, out, rdbVersion } = scene;
  const crc64 = out.crc64.toString(16).padStart(16, "0");
  const { endpoint } = address;
  return { endpoint, runId: info.get("run_id") ?? "", rdbVersion, database, cursor, offset: out.offset, crc64, recent };
}

async function askInfo(session: Session, address: Address): Promise<Info> {
  const info = parseInfo((await session.ask("INFO", "everything")).toString());
  if (info.get("loading") === "1")
    throw new StatusError("UNAVAILABLE", `${address.endpoint} is loading its data set: it answers once that is done`);
  if (info.get("run_id") === undefined) throw notValkey(address);
  return info;
}

/** Since Valkey 8.0 and Redis 7.4 a node of a cluster keeps a table for each slot (kvstore.c). */
function keepsTablePerSlot(info: Info): boolean {
  const [major = 0, minor = 0] = (info.get("valkey_version") ?? info.get("redis_version") ?? "").split(".").map(Number);
  const [fromMajor, fromMinor] = info.get("valkey_version") === undefined ? [7, 4] : [8, 0];
  return major > fromMajor || (major === fromMajor && minor >= fromMinor);
}

const otherProcess = ({ endpoint }: Address): StatusError =>
  new StatusError("ABORTED", `${endpoint} was started anew while it was scanned: it is scanned from the beginning`);
