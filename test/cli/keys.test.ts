import { beforeEach, describe, expect, it } from "vitest";
import type { Operation } from "../../shared/backup/operation.ts";
import { heldBy, withLive } from "../pipeline/live.ts";
import { objectsOf } from "../pipeline/objects.ts";
import { vault, type World } from "../pipeline/world.ts";
import { valkeep, valkeepOn } from "./terminal.ts";

const line = "restores create --backup=orders/nightly --keys=user:42:* --into-live --to=copy";
let world: World;

beforeEach(async () => {
  world = await withLive(
    [
      { name: "user:42:a", text: "old" },
      { name: "user:42:b", text: "old" },
    ],
    [{ name: "user:42:a", text: "live" }],
  );
});

describe("restores create --keys --into-live", () => {
  it("shows the checks and what it would do, and how to do it", async () => {
    const { exitCode, stdout, stderr } = await valkeepOn(world, line);
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^mode +PASS/m);
    expect(stdout).toMatch(/matched +2\nexpired +0\nexisting +1\nidentical +0\ndifferent +1/);
    expect(stderr).toContain("nothing was written; the same with --execute does it");
    expect(heldBy(world)).toEqual({ "0:user:42:a": { text: "live", expireTimeMs: -1 } });
  });

  it("does it, says how it is taken back, and takes it back", async () => {
    const before = heldBy(world);
    const { exitCode, stdout, stderr } = await valkeepOn(world, `${line} --execute --on-conflict=replace --json`);
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout).response).toMatchObject({ created: 1, replaced: 1, skipped: 0 });
    const undo = /valkeep (restores undo restore-[0-9a-f]{16}) takes it back/.exec(stderr)?.[1] ?? "";
    const dry = await valkeepOn(world, undo);
    expect(dry.stdout).toMatch(/restored +1\ndeleted +1/);
    expect(dry.stderr).toContain("--execute does it");
    expect((await valkeepOn(world, `${undo} --execute`)).exitCode).toBe(0);
    expect(heldBy(world)).toEqual(before);
  });

  it("puts the pattern into the vault, and its object's name into the request", async () => {
    const { stdout } = await valkeep(`${line} --db=0 --expiry=shift --max-keys-per-second=50 --async`, world);
    const operation = (await world.ports.store.get<Operation>(stdout.trim()))?.data;
    const selection = (await objectsOf(world, vault)).find((name) => name.startsWith("selections/"));
    expect(operation?.request.data).toMatchObject({
      instance: "copy",
      selection,
      execute: false,
      database: 0,
      expiryPolicy: "SHIFT",
      maxKeysPerSecond: 50,
    });
    expect(JSON.stringify(operation)).not.toContain("user:42");
  });

  it("exits 3 where a key is there under fail", async () => {
    const { exitCode, stderr } = await valkeepOn(world, `${line} --on-conflict=fail --execute`);
    expect(exitCode).toBe(3);
    expect(stderr).toMatch(/it has 1 of the matching keys already; --on-conflict=skip leaves them/);
  });

  it("tells of a dry run into an endpoint that nobody has registered that it registers nothing", async () => {
    world.valkey.start("127.0.0.1:7009");
    const { exitCode, stderr } = await valkeepOn(world, line.replace("--to=copy", "--to=127.0.0.1:7009"));
    expect([exitCode, stderr]).toEqual([0, expect.stringContaining("not registered, and not by a dry run")]);
  });

  it.each([
    ["--keys=a* --to=copy", /--keys writes into an instance that is in use: say so with --into-live/],
    ["--into-live --to=copy", /--into-live restores single keys: --keys says which/],
    ["--execute --to=copy", /--execute is of use only with --keys/],
    ["--db=1 --to=copy", /--db is of use only with --keys/],
    ["--on-conflict=skip --to=copy", /--on-conflict is of use only with --keys/],
    ["--expiry=keep --to=copy", /--expiry is of use only with --keys/],
    ["--max-keys-per-second=9 --to=copy", /--max-keys-per-second is of use only with --keys/],
    ["--keys=a* --into-live --execute --dry-run --to=copy", /one of --execute and --dry-run/],
    ["--keys=a* --into-live --strict --to=copy", /--strict is about an AOF/],
    ["--keys=a* --into-live --allow-shrink --to=copy", /--allow-shrink is of no use/],
    ["--strict --to=copy", /--strict is about an AOF, and a backup holds none/],
    ["--keys=a* --into-live --max-parallel-loads=2 --to=copy", /--max-parallel-loads is of no use/],
    ["--keys= --into-live --to=copy", /--keys: malformed pattern of 0 bytes/],
    ["--keys=\uFFFD* --into-live --to=copy", /--keys: a pattern is UTF-8; \? stands for any other byte/],
    ["--keys=a* --into-live --db=x --to=copy", /--db: malformed number "x"/],
    ["--keys=a* --into-live --db=-1 --to=copy", /--db/],
    [
      "--keys=a* --into-live --on-conflict=merge --to=copy",
      /--on-conflict: unknown policy "merge": expected one of skip/,
    ],
    ["--keys=a* --into-live --expiry=never --to=copy", /--expiry: unknown policy "never": expected one of keep/],
    [
      "--keys=a* --into-live --max-keys-per-second=0 --to=copy",
      /--max-keys-per-second: malformed number "0": expected 1/,
    ],
  ])("is wrong usage with %s", async (flags, reason) => {
    const { exitCode, stderr } = await valkeep(`restores create --backup=orders/nightly ${flags}`, world);
    expect([exitCode, stderr]).toEqual([2, expect.stringMatching(reason)]);
  });
});

describe("restores undo", () => {
  it.each([
    ["restores undo", 2, /OPERATION is missing/],
    ["restores undo ../x", 2, /malformed operation id/],
    ["restores undo restore-1 --max-keys-per-second=x", 2, /malformed number "x"/],
  ])("%s is wrong usage", async (words, code, reason) => {
    const { exitCode, stderr } = await valkeep(words, world);
    expect([exitCode, stderr]).toEqual([code, expect.stringMatching(reason)]);
  });

  it("exits 3 for an operation that is not there", async () => {
    const { exitCode, stderr } = await valkeepOn(world, "restores undo restore-1 --execute");
    expect([exitCode, stderr]).toEqual([3, expect.stringContaining("there is no operations/restore-1")]);
  });
});
