import { describe, expect, it } from "vitest";
import { commands } from "../../infra/cli/commands.ts";
import { createMemoryStore } from "../../shared/memory/store.ts";
import { createWorld } from "../pipeline/world.ts";
import { valkeep } from "./terminal.ts";

const verbs = Object.keys(commands);

describe("help", () => {
  it.each(verbs)("%s --help shows its usage and an example of itself", async (verb) => {
    const { exitCode, stdout, stderr } = await valkeep(`${verb} --help`);
    expect([exitCode, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(new RegExp(`^usage: valkeep ${verb} `));
    expect(stdout).toMatch(new RegExp(`example:\\n {2}valkeep ${verb}`));
    expect(stdout).toContain("--json");
  });

  it.each([
    "",
    ...new Set(verbs.map((verb) => verb.split(" ")[0])),
    ...verbs,
  ])("%s --help has 80 columns", async (words) => {
    const { stdout } = await valkeep(`${words} --help`);
    expect(stdout.split("\n").filter((line) => line.length > 80)).toEqual([]);
  });

  it("sets what a long flag means below it, and goes on with a long example on the next line", async () => {
    const { stdout } = await valkeep("instances create --help");
    const gap = " ".repeat(32);
    expect(stdout).toContain(`  --automated-backup-config-retention=DAYS\n${gap}how long automated backups are kept,`);
    expect(stdout).toContain(`in place of the hour: five fields, such as\n${gap}'*/15 * * * *'\n`);
    expect(stdout).toMatch(/example:\n {2}valkeep instances create orders .*\\\n {6}--/);
  });

  it.each(verbs)("the example of %s is right usage", async (verb) => {
    const command = await commands[verb]?.load();
    const store = { ...createMemoryStore(), get: () => Promise.reject(new Error("it was understood")) };
    const line = (command?.example ?? "").replace(/^valkeep /, "").replace("dump.rdb", "/nonexistent.rdb");
    const { stderr } = await valkeep(line, { ports: { ...createWorld().ports, store } });
    expect(stderr).not.toContain("usage:");
  });

  it("names every verb", async () => {
    const { exitCode, stdout } = await valkeep("--help");
    expect(exitCode).toBe(0);
    for (const verb of verbs.filter((name) => !commands[name]?.isHidden)) expect(stdout).toContain(`  ${verb} `);
  });

  it("of a noun names its verbs alone", async () => {
    const { stdout } = await valkeep("backups --help");
    expect(stdout).toContain("backups undelete");
    expect(stdout).not.toContain("instances create");
  });

  it("is answered whatever else is on the line", async () => {
    const { exitCode } = await valkeep("backups create --nonsense --help");
    expect(exitCode).toBe(0);
  });
});

describe("wrong usage", () => {
  it.each([
    ["", /a verb is missing/],
    ["frobnicate", /there is no "valkeep frobnicate"/],
    ["backups", /a verb is missing/],
    ["backups frobnicate", /there is no "valkeep backups frobnicate"/],
    ["constructor", /there is no/],
    ["backups create", /INSTANCE is missing/],
    ["backups create orders more", /unexpected argument "more"/],
    ["backups create orders --frobnicate", /unknown flag '--frobnicate' \(/],
    ["backups create orders --ttl", /--ttl/],
    ["backups create orders --json=yes", /--json/],
    ["backups create orders --ttl=1d --ttl=2d", /--ttl is given twice/],
    ["restores create --gcs-source-uris=gs://bbb/0.rdb --gcs-source-uris gs://bbb/1.rdb --to=orders", /given twice/],
    ["backups list --limit -1", /--limit has no value; one that begins with - is given as --limit=-VALUE/],
    ["backups create Orders", /malformed instance id/],
    ["backups create ../x", /malformed instance id/],
    ["backups create instances/../x", /malformed instance id/],
    ["backups create orders --backup-id=../x", /--backup-id: malformed backup id/],
    ["backups create orders --backup-id=a/b", /--backup-id: malformed backup id/],
    ["backups create orders --ttl=0d", /--ttl: ttl 0d is out of bounds/],
    ["backups create orders --ttl=23h", /out of bounds/],
    ["backups create orders --ttl=36865d", /out of bounds: expected 1d to 36500d \(100 years\)/],
    ["backups create orders --ttl=101y", /malformed duration/],
    ["backups create orders --ttl=14", /malformed duration/],
    ["backups create orders --request-id=a/b", /--request-id: malformed request id/],
    ["backups describe orders", /expected INSTANCE\/BACKUP/],
    ["backups describe orders/../instances/x", /expected INSTANCE\/BACKUP/],
    ["backups describe orders/..", /malformed backup id/],
    ["backups describe backupCollections/orders/backups/..", /malformed backup id/],
    ["backups delete orders/x --confirm=yes", /--confirm: expected the word delete/],
    ["backups delete orders/x --grace=soon --confirm=delete", /--grace: malformed duration/],
    ["backups update orders/x", /expected one of --ttl and --expire-time/],
    ["backups update orders/x --ttl=90", /--ttl: malformed duration/],
    ["backups update orders/x --expire-time=2027-02-30", /--expire-time: malformed time/],
    ["backups hold orders/x --reason=", /^--reason: expected a reason \(/],
    ["backups export orders/x", /--gcs-bucket is missing/],
    ["backups export orders/x --gcs-bucket=gs://mine", /--gcs-bucket: malformed bucket/],
    ["backups export orders/x --gcs-bucket=mine/folder", /--gcs-bucket: malformed bucket/],
    ["instances create orders", /--endpoint is missing/],
    ["instances create orders --endpoint=10.0.0.3", /expected HOST:PORT/],
    ["instances create orders --endpoint=redis://h:1", /expected HOST:PORT/],
    ["instances create orders --endpoint=h:1 --mode=sentinel", /unknown mode/],
    ["instances create orders --endpoint=h:1 --fixed-frequency-schedule-start-time-hours=24", /0 to 23/],
    ["instances create orders --endpoint=h:1 --automated-backup-config-retention=12h", /1d to 365d/],
    ["instances create orders --endpoint=h:1 --automated-backup-config-cron=@daily", /expected five fields/],
    ["instances create orders --endpoint=h:1 --automated-backup-config-time-zone=Asia/Tokyo", /only with a cron/],
    ["instances create orders --endpoint=h:1 --automated-backup-config-snapshot-window=15:00-15:30", /30 minutes/],
    ["instances create orders --endpoint=h:1 --automated-backup-config-retention=366d", /1d to 365d/],
    ["instances create orders --endpoint=h:1 --maintenance-window=mon:22:00-mon:22:00", /more than none/],
    ["instances create orders --endpoint=h:1 --maintenance-window=monday", /malformed maintenance window/],
    ["instances create orders --endpoint=h:1 --maintenance-backup-policy=skip", /no maintenance window/],
    ["instances create orders --endpoint=h:1 --state=updating", /unknown flag/i],
    ["instances create orders --endpoint=h:1 --auth-secret=hunter2", /^(?!.*hunter2).*never the secret itself/s],
    ["instances create orders --endpoint=h:1 --ca-file=/nonexistent", /--ca-file: .*no certificate/],
    ["instances create ../x --endpoint=h:1", /malformed instance id/],
    ["instances update orders", /nothing is to be changed/],
    ["instances delete orders --confirm=", /--confirm: expected the word delete/],
    ["restores create --to=orders", /expected one of --backup and --gcs-source-uris/],
    ["restores create --to=orders --backup=a/b --gcs-source-uris=gs://bbb/c", /expected one of/],
    ["restores create --backup=orders/x", /--to is missing/],
    ["restores create --backup=orders/x --to=127.0.0.1:0", /expected HOST:PORT/],
    ["restores create --backup=orders/x --to=../x", /malformed instance id/],
    ["restores create --gcs-source-uris=http://b/o --to=orders", /--gcs-source-uris: malformed object URI/],
    ["restores create --gcs-source-uris=gs://bucket/o, --to=orders", /malformed object URI/],
    ["restores create --backup=orders/x --to=orders --auth-secret=env:X", /orders names an instance/],
    ["operations list --limit=0", /--limit: malformed count/],
    ["operations describe ../x", /malformed operation id/],
    ["operations wait operations/../instances/x", /malformed operation id/],
    ["rdb check", /FILE is missing/],
    ["rdb check gs://b", /malformed object URI/],
    ["rdb check /", /is a directory/],
  ])("valkeep %s exits 2 with one sentence and the usage", async (line, sentence) => {
    const { exitCode, stdout, stderr } = await valkeep(line, { ports: createWorld().ports });
    expect(exitCode).toBe(2);
    expect(stdout).toBe("");
    expect(stderr.split("\n")[0]).toMatch(sentence);
    expect(stderr.split("\n")[1]).toMatch(/^usage: valkeep /);
  });

  it("of an unknown noun does not scroll away below all the verbs that there are", async () => {
    const { stderr } = await valkeep("instance create orders");
    expect(stderr.trim().split("\n")).toEqual([
      'there is no "valkeep instance" (INVALID_ARGUMENT)',
      "usage: valkeep NOUN VERB [flags]; valkeep --help names them",
    ]);
  });

  it("is JSON on standard output with --json", async () => {
    const { exitCode, stdout } = await valkeep("backups create orders --ttl=0d --json");
    expect(exitCode).toBe(2);
    expect(JSON.parse(stdout)).toEqual({
      error: { code: "INVALID_ARGUMENT", message: expect.stringContaining("--ttl: ttl 0d is out of bounds") },
    });
  });

  it("shows no control characters that were typed", async () => {
    const { stderr } = await valkeep("backups create orders \u001b[31mred");
    expect(stderr).not.toContain("\u001b");
  });
});
