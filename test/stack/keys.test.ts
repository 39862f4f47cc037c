import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Operation } from "../../shared/backup/operation.ts";
import { valkeep } from "../cli/terminal.ts";
import { send } from "../valkey/client.ts";
import { endAtRest } from "./source.ts";
import { openStage, type Stage } from "./stage.ts";

/** Single keys out of a backup into an instance that is in use, on real servers, by the command. */
let stage: Stage;
let source: string;
let live: string;
/** Between these the backup was taken; a file tells the second of its snapshot only. */
let taken: { from: number; to: number };
const hour = 3_600_000;
const secret = "user:42:somebody";

beforeAll(async () => {
  stage = await openStage();
  source = (await stage.valkey({ version: "8.0" })).endpoint;
  live = (await stage.valkey({ version: "8.0" })).endpoint;
  await stage.register("orders", source);
  await stage.register("live", live);
  await send(
    source,
    ["SET", secret, "old", "PX", hour],
    ["RPUSH", "user:42:list", "a", "b"],
    ["SET", "user:42:gone", "old"],
    ["SET", "user:42:same", "same"],
    ["SET", "user:7:other", "old"],
    ["SETRANGE", "user:42:large", 20_000_000, "x"],
  );
  const from = Math.floor(Date.now() / 1_000) * 1_000;
  await stage.done("backup.v1.requested", { instance: "orders", backupId: "nightly" });
  taken = { from, to: Date.now() };
});

afterAll(async () => await endAtRest(stage, secret));

beforeEach(() =>
  send(
    live,
    ["FLUSHALL"],
    ["SET", secret, "new"],
    ["RPUSH", "user:42:list", "c"],
    ["SET", "user:42:same", "same"],
    ["SET", "user:42:large", "small now"],
    ["SET", "theirs", "stays"],
  ),
);

const line = "restores create --backup=orders/nightly --keys=user:42:* --into-live --to=live";

async function run(words: string): Promise<Operation> {
  const { exitCode, stdout, stderr } = await valkeep(`${words} --json`, stage);
  expect([exitCode, stderr]).toEqual([0, expect.any(String)]);
  return JSON.parse(stdout);
}

const held = async () => [
  String(await send(live, ["DEBUG", "DIGEST"])),
  ...(await Promise.all([secret, "user:42:gone"].map((key) => send(live, ["PEXPIRETIME", key])))),
];

const undoOf = ({ name }: Operation): string => `restores undo ${name.replace("operations/", "")}`;

describe("keys of a backup", () => {
  it("are counted first, and nothing is written", async () => {
    const before = await held();
    const { response } = await run(line);
    expect(response).toMatchObject({ matched: 5, expired: 0, existing: 4, identical: 1, different: 3 });
    expect(await held()).toEqual(before);
  });

  it("fill in what is missing", async () => {
    const { response } = await run(`${line} --execute`);
    expect(response).toMatchObject({ created: 1, replaced: 0, skipped: 3, identical: 1 });
    expect(String(await send(live, ["MGET", secret, "user:42:gone"]))).toBe("new,old");
    expect(await send(live, ["EXISTS", "user:7:other"])).toBe(0);
  });

  it("replace what is there while a writer goes on, and one command puts it back, large values too", async () => {
    const before = await held();
    let isOver = false;
    let written = 0;
    const writer = (async () => {
      for (; !isOver; written++) await send(live, ["INCR", "user:7:counter"], ["SET", "theirs", "stays"]);
    })();
    const operation = await run(`${line} --execute --on-conflict=replace`);
    expect(operation.response).toMatchObject({ created: 1, replaced: 3, identical: 1, changed: 0 });
    expect(String(await send(live, ["MGET", secret, "user:42:gone"]))).toBe("old,old");
    expect(String(await send(live, ["LRANGE", "user:42:list", 0, -1]))).toBe("a,b");
    expect(await send(live, ["STRLEN", "user:42:large"])).toBe(20_000_001);
    expect((await run(undoOf(operation))).response).toMatchObject({ restored: 3, deleted: 1, changed: 0 });
    expect((await run(`${undoOf(operation)} --execute`)).response).toMatchObject({
      restored: 3,
      deleted: 1,
      changed: 0,
    });
    isOver = true;
    await writer;
    expect(Number(await send(live, ["GET", "user:7:counter"]))).toBe(written);
    await send(live, ["DEL", "user:7:counter"]);
    expect(await held()).toEqual(before);
  });

  it("live as long as they had left, with a shifted expiry", async () => {
    const { createTime, selection } = await run(`${line} --execute --on-conflict=replace --expiry=shift`);
    const snapshot = Date.parse(selection?.files[0]?.snapshotTime ?? "");
    expect(snapshot).toBeGreaterThanOrEqual(taken.from);
    expect(snapshot).toBeLessThanOrEqual(taken.to);
    const left = Number(await send(source, ["PEXPIRETIME", secret])) - snapshot;
    expect(await send(live, ["PEXPIRETIME", secret])).toBe(Date.parse(createTime) + left);
    expect(await send(live, ["PEXPIRETIME", "user:42:gone"])).toBe(-1);
  });

  it("appear by name in no log line and no document", async () => {
    const documents = await Promise.all((await stage.operations()).map(({ name }) => stage.tasks(name)));
    const said = JSON.stringify([await stage.operations(), documents, await stage.log()]);
    expect(said).not.toContain("user:42");
  });
});
