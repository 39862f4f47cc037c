import { execFileSync, spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type ProcessOptions, type RunningProcess, startProcess } from "../../infra/local/process.ts";
import { isRunning, until } from "./processes.ts";

const started: RunningProcess[] = [];

afterEach(async () => {
  for (const running of started.splice(0)) await running.stop();
});

async function start(script: string, options: Partial<ProcessOptions> = {}): Promise<RunningProcess> {
  const running = await startProcess({ name: "it", command: ["/bin/sh", "-c", script], ready: /^up/, ...options });
  started.push(running);
  return running;
}

it("is ready when its line comes, in pieces or not", async () => {
  const running = await start("printf 'booting\\nu'; sleep 0.1; printf 'p on %s\\n' 7; exec sleep 60", {
    ready: /^up on (\d+)/,
  });
  expect(running.readyMatch?.[1]).toBe("7");
});

it("is ready when the probe says so, which may fail before", async () => {
  let asked = 0;
  const ready = async () => {
    asked += 1;
    if (asked === 1) throw new Error("nobody there");
    return asked === 3;
  };
  await start("exec sleep 60", { ready });
  expect(asked).toBe(3);
});

it("that ends before it is ready is an error with its reason", async () => {
  const attempt = start("echo 'Error: port taken' >&2; exit 3");
  await expect(attempt).rejects.toMatchObject({
    code: "UNAVAILABLE",
    message: "it ended with code 3 before it was ready: Error: port taken",
  });
});

it("that cannot be started is an error", async () => {
  const attempt = start("", { command: ["/nonexistent/program"] });
  await expect(attempt).rejects.toMatchObject({ code: "UNAVAILABLE", message: expect.stringContaining("ENOENT") });
});

it("that is never ready is killed", async () => {
  const attempt = start("echo $$; trap '' TERM; while :; do sleep 1; done", { readyTimeoutMs: 200 });
  const error: Error = await attempt.then(
    () => expect.unreachable(),
    (reason) => reason,
  );
  const pid = Number(/: (\d+)$/.exec(error.message)?.[1]);
  expect(error).toMatchObject({ code: "DEADLINE_EXCEEDED" });
  expect(isRunning(pid)).toBe(false);
});

it("is stopped with everything that it started", async () => {
  const running = await start("sleep 60 & echo up $!; wait", { ready: /^up (\d+)/ });
  const [leader, grandchild] = [running.pid ?? 0, Number(running.readyMatch?.[1])];
  await running.stop();
  await until(() => !isRunning(grandchild));
  expect(isRunning(leader)).toBe(false);
});

it("is killed when it does not heed SIGTERM", async () => {
  const running = await start("trap '' TERM; echo up; while :; do sleep 0.1; done", { stopTimeoutMs: 100 });
  await running.stop();
  expect(running.pid).toBeUndefined();
});

it("is started again when it ends, if that was asked for", async () => {
  const reports: string[] = [];
  const running = await start("echo up; exec sleep 60", { restart: true, report: (line) => reports.push(line) });
  const first = running.pid;
  running.kill("SIGKILL");
  await until(() => running.pid !== undefined && running.pid !== first);
  expect(reports).toEqual(["it ended with SIGKILL: starting it again"]);
});

it("is not started again once it was stopped", async () => {
  const running = await start("echo up; exec sleep 60", { restart: true });
  running.kill("SIGKILL");
  await until(() => running.pid === undefined);
  await running.stop();
  await running.ended;
  expect(running.pid).toBeUndefined();
});

it("says when it has ended by itself", async () => {
  const running = await start("echo up; sleep 0.1");
  await running.ended;
  expect(running.pid).toBeUndefined();
});

describe("its log", () => {
  let directory: string;
  let logFile: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "valkeep-process-"));
    logFile = join(directory, "it.log");
  });
  afterEach(async () => await rm(directory, { recursive: true }));

  it("has both output streams", async () => {
    const running = await start("echo oops >&2; echo up; exec sleep 60", { logFile });
    await running.stop();
    expect((await readFile(logFile, "utf8")).split("\n").sort()).toEqual(["", "oops", "up"]);
  });

  it("is written to its end before the process counts as ended", async () => {
    execFileSync("mkfifo", [logFile]); // takes nothing before somebody reads it
    const running = await start("echo up", { logFile });
    const ended = running.ended.then(() => "ended");
    expect(await Promise.race([ended, sleep(500, "still writes")])).toBe("still writes");
    expect(await readFile(logFile, "utf8")).toBe("up\n");
    expect(await ended).toBe("ended");
  });

  it("that cannot be written keeps the process from nothing", async () => {
    const running = await start("echo up; seq 1 300000", { logFile: join(directory, "absent", "it.log") });
    await running.ended;
    expect(running.pid).toBeUndefined();
  });
});

it("does not outlive a parent that is killed, nor does what it started", async () => {
  const module = join(import.meta.dirname, "../../infra/local/process.ts");
  const script = `
    import { startProcess } from ${JSON.stringify(module)};
    const command = ["/bin/sh", "-c", "sleep 60 & echo up $$ $!; wait"];
    const { readyMatch } = await startProcess({ name: "it", command, ready: /^up (.*)/ });
    console.log(readyMatch[1]);
  `;
  const parent = spawn(process.execPath, ["--input-type=module-typescript", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const line = await new Promise<string>((resolve) => createInterface(parent.stdout).once("line", resolve));
  const pids = line.split(" ").map(Number);
  expect(pids.map(isRunning)).toEqual([true, true]);
  parent.kill("SIGKILL");
  await until(() => !pids.some(isRunning));
});
