import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { collectionName } from "../../shared/backup/name.ts";
import { createWorld, instanceOf, type World } from "../pipeline/world.ts";
import { type Options, valkeep } from "./terminal.ts";

let world: World;
beforeEach(async () => {
  world = createWorld();
  const instances = ["orders", "orders-eu", "carts"].map((id) => instanceOf(id, "h:1"));
  const collections = ["orders", "gone"].map((id) => ({ name: collectionName(id), secret: "hunter2" }));
  const backups = ["nightly", "night-2", "weekly"].map((id) => ({ name: `${collectionName("orders")}/backups/${id}` }));
  const operations = ["backup-1", "backup-2", "restore-1"].map((id, n) => ({
    name: `operations/${id}`,
    createTime: `${n}`,
  }));
  const all = [...instances, ...collections, ...backups, ...operations];
  await world.ports.store.commit(all.map((data) => ({ kind: "create", path: data.name, data })));
});

/** What the last word can become. */
async function candidates(words: string[], options: Options = {}): Promise<string[]> {
  const input = words.map((word) => `${word}\0`).join("");
  const { exitCode, stdout, stderr } = await valkeep("completion candidates", {
    ports: world.ports,
    input,
    ...options,
  });
  expect([exitCode, stderr]).toEqual([0, ""]);
  return stdout
    .split("\n")
    .filter(Boolean)
    .map((line) => line.split("\t")[0] ?? "");
}

describe("candidates", () => {
  it.each([
    [["b"], ["backups"]],
    [["sw"], ["sweep"]],
    [["completion", "ca"], []],
    [["backups", "un"], ["undelete"]],
    [
      ["schedules", ""],
      ["list", "run"],
    ],
    [["frobnicate", ""], []],
    [["backups", "frobnicate", ""], []],
    [
      ["completion", ""],
      ["bash", "zsh", "fish"],
    ],
    [["completion", "bash", "--j"], ["--json"]],
    [["instances", "create", "x", "--mo"], ["--mode="]],
    [
      ["instances", "create", "x", "--mode="],
      ["--mode=cluster-disabled", "--mode=cluster"],
    ],
    [["instances", "create", "x", "--mode=cluster-"], ["--mode=cluster-disabled"]],
    [["instances", "create", "x", "--mode", "cluster-"], ["cluster-disabled"]],
    [["instances", "create", "x", "--transit-encryption-mode=s"], ["--transit-encryption-mode=server-authentication"]],
    [["instances", "create", "x", "--location=a"], []],
    [["instances", "update", "orders", "--source=prefer-"], ["--source=prefer-replica"]],
    [["instances", "update", "orders", "--snapshot-method=v"], ["--snapshot-method=volume"]],
    [["restores", "create", "--mode=cluster-"], ["--mode=cluster-disabled"]],
    [["restores", "create", "--on-conflict=r"], ["--on-conflict=replace"]],
    [["restores", "create", "--expiry", "s"], ["shift"]],
    [["instances", "create", "x", "--frobnicate=a"], []],
    [["backups", "list", "--s"], ["--sort-by="]],
    [["backups", "list", "--sort-by=name", "--s"], []],
    [["sweep", "--a"], ["--async"]],
    [
      ["instances", "describe", "o"],
      ["orders", "orders-eu"],
    ],
    [
      ["instances", "describe", ""],
      ["carts", "orders", "orders-eu"],
    ],
    [["instances", "create", "o"], []],
    [["collections", "describe", "g"], ["gone"]],
    [
      ["backups", "list", ""],
      ["gone", "orders"],
    ],
    [["backups", "create", "g"], []],
    [["backups", "describe", "o"], ["orders/"]],
    [
      ["backups", "describe", "orders/n"],
      ["orders/night-2", "orders/nightly"],
    ],
    [
      ["backups", "describe", "orders/"],
      ["orders/night-2", "orders/nightly", "orders/weekly"],
    ],
    [["backups", "describe", "Orders!/"], []],
    [["backups", "describe", "--json", "orders/w"], ["orders/weekly"]],
    [["restores", "create", "--backup=orders/w"], ["--backup=orders/weekly"]],
    [["restores", "create", "--backup", "orders/w"], ["orders/weekly"]],
    [
      ["operations", "describe", ""],
      ["restore-1", "backup-2", "backup-1"],
    ],
    [["restores", "undo", ""], ["restore-1"]],
    [["rdb", "check", "dum"], []],
  ])("of %j are %j", async (words, expected) => expect(await candidates(words)).toEqual(expected));

  it("are the nouns and the verbs without a noun, where nothing was typed", async () => {
    const found = await candidates([""]);
    expect(found).toContain("instances");
    expect(found).toContain("sweep");
    expect(new Set(found).size).toBe(found.length);
    expect(await candidates([])).toEqual(found);
  });
  it("are the flags once every argument is there", async () => {
    expect(await candidates(["backups", "undelete", "orders/one", ""])).toEqual(["--async", "--json", "--help"]);
  });
  it("tell after a tab what they mean", async () => {
    const { stdout } = await valkeep("completion candidates", { input: "backups\0hol\0" });
    expect(stdout).toBe("hold\tkeep a backup and its objects from every deletion, for a reason\n");
  });
  it("are none, without a word, where there is nobody to ask", async () => {
    const store = { ...world.ports.store, query: () => Promise.reject(new Error("broken")) };
    expect(await candidates(["instances", "describe", ""], { ports: { ...world.ports, store } })).toEqual([]);
    const { exitCode, stdout } = await valkeep("completion candidates", {
      input: "instances\0describe\0\0",
      environment: { VALKEEP_STACK: "/nonexistent.json" },
    });
    expect([exitCode, stdout]).toEqual([0, ""]);
  });
  it("are not waited for longer than anybody would", async () => {
    const store = { ...world.ports.store, query: () => new Promise<never>(() => undefined) };
    const started = performance.now();
    expect(await candidates(["instances", "describe", ""], { ports: { ...world.ports, store } })).toEqual([]);
    expect(performance.now() - started).toBeLessThan(10_000);
  });
  it("are names, and nothing else that a document holds", async () => {
    const { stdout } = await valkeep("completion candidates", { ports: world.ports, input: "backups\0list\0\0" });
    expect(stdout).toBe("gone\norders\n");
  });
  it("are whatever the line holds, the flags of the command itself too", async () => {
    expect(await candidates(["backups", "list", "--help", "--json", "--fil"])).toEqual(["--filter="]);
  });
});

describe("completion", () => {
  it.each(["bash", "zsh", "fish"])("prints a script for %s that asks for the candidates", async (shell) => {
    const { exitCode, stdout } = await valkeep(`completion ${shell}`);
    expect(exitCode).toBe(0);
    expect(stdout).toContain("completion candidates 2>/dev/null");
  });
  it("refuses a shell that it does not know", async () => {
    const { exitCode, stderr } = await valkeep("completion tcsh");
    expect(exitCode).toBe(2);
    expect(stderr).toMatch(/^SHELL: unknown shell "tcsh": expected bash, zsh, fish/);
  });
});

const isThere = (program: string): boolean => spawnSync(program, ["--version"]).error === undefined;
const launcher = join(import.meta.dirname, "../../infra/cli/valkeep");

describe("the shells", () => {
  let directory: string;
  let environment: Record<string, string>;
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "valkeep-completion-"));
    symlinkSync(launcher, join(directory, "valkeep"));
    // Another program of that name, whose candidates are those of a stack with backups.
    writeFileSync(join(directory, "stub"), `#!/bin/sh\ncat >"${directory}/asked"\nprintf '%b' "$ANSWER"\n`);
    chmodSync(join(directory, "stub"), 0o755);
    environment = { PATH: `${directory}:${process.env.PATH}`, HOME: directory, VALKEEP_STACK: "none" };
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  const bash = (script: string, more: Record<string, string> = {}): string =>
    execFileSync("bash", ["--norc", "-c", `source <(valkeep completion bash) && ${script}`], {
      env: { ...environment, ...more },
      encoding: "utf8",
    });
  /** What Bash is told, the words taken apart as Bash does it. */
  const completed = (words: string[], program = "valkeep", more: Record<string, string> = {}): string[] => {
    const quoted = words.map((word) => `'${word}'`).join(" ");
    const script = `COMP_WORDS=(valkeep ${quoted}) COMP_CWORD=${words.length} && _valkeep ${program} && printf '%s\\n' "\${COMPREPLY[@]}"`;
    return bash(script, more).split("\n").filter(Boolean);
  };

  it("Bash knows for what the function is", () => {
    expect(bash("complete -p valkeep")).toBe("complete -o default -F _valkeep valkeep\n");
  });
  it("Bash completes verbs and flags", () => {
    expect(completed(["back"])).toEqual(["backups"]);
    expect(completed(["backups", "cr"])).toEqual(["create"]);
    expect(completed(["backups", "create", "orders", "--backup"])).toEqual(["--backup-id="]);
  });
  it("Bash completes what follows a =, which it takes for a word of its own", () => {
    expect(completed(["instances", "create", "x", "--mode", "=", "cluster-"])).toEqual(["cluster-disabled"]);
    expect(completed(["instances", "create", "x", "--mode", "="])).toEqual(["cluster-disabled", "cluster"]);
    expect(completed(["instances", "create", "x", "--endpoint", "=", "h", ":", "1", "--mod"])).toEqual(["--mode="]);
  });
  it("Bash says nothing, and fails at nothing, where there is nothing to say", () => {
    expect(completed(["instances", "describe", ""])).toEqual([]);
    expect(completed(["backups", "list"], "/nonexistent/valkeep")).toEqual([]);
  });
  it("Bash hands on every word whole and takes every candidate whole", () => {
    const ANSWER = "orders/nightly\\thelp with spaces\\norders/weekly\\n";
    expect(completed(["backups", "describe", "orders/"], "stub", { ANSWER })).toEqual([
      "orders/nightly",
      "orders/weekly",
    ]);
    expect(execFileSync("cat", [join(directory, "asked")], { encoding: "utf8" })).toBe("backups\0describe\0orders/\0");
  });

  const zsh = isThere("zsh") ? "" : " (skipped: there is no zsh on this machine)";
  it.skipIf(zsh !== "")(`zsh reads its script${zsh}`, () => {
    execFileSync("zsh", ["-f", "-c", "compdef() { : }; source <(valkeep completion zsh); whence _valkeep"], {
      env: environment,
    });
  });
  const fish = isThere("fish") ? "" : " (skipped: there is no fish on this machine)";
  it.skipIf(fish !== "")(`fish completes verbs${fish}`, () => {
    const script = 'valkeep completion fish | source; complete -C "valkeep backups cre"';
    expect(execFileSync("fish", ["--no-config", "-c", script], { env: environment, encoding: "utf8" })).toMatch(
      /^create\t/,
    );
  });
});
