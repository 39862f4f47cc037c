import { beforeEach, describe, expect, it } from "vitest";
import { createNews, type Look, phraseOf } from "../../infra/cli/news.ts";
import { progressLine } from "../../infra/cli/progress-bar.ts";
import { eventTypes } from "../../shared/backup/event.ts";
import type { Operation, RestorePlan, Task } from "../../shared/backup/operation.ts";
import { verbOf } from "../../shared/backup/route.ts";
import { StatusError } from "../../shared/error.ts";
import { newOperation } from "../../shared/pipeline/identity.ts";
import type { Ports } from "../../shared/pipeline/ports.ts";
import { createWorld, type World } from "../pipeline/world.ts";
import { type Outcome, valkeep } from "./terminal.ts";

const now = Date.UTC(2026, 0, 1);
const time = (milliseconds: number): string => new Date(now + milliseconds).toISOString();
const request = newOperation("backup.v1.requested", { instance: "orders" }, "backup-1", time(0));
const fresh: Task = { type: "backup.v1.requested", data: {}, createTime: time(0), attempt: 0, done: false };
const error = { code: "UNAVAILABLE", message: "nobody answers" } as const;

function look(task: Partial<Task>, waited = 0, operation: Partial<Operation> = {}): Look {
  const tasks = new Map([["backup.v1.requested", { ...fresh, ...task }]]);
  return { operation: { ...request, ...operation }, tasks, now: now + waited, waited };
}

const lease = (until: number) => ({ owner: "one", epoch: 1, expireTime: time(until) });

describe("the news of an operation", () => {
  it.each(eventTypes.filter((type) => verbOf[type] !== undefined))("have words for %s", (type) => {
    expect(phraseOf(type)).not.toBe(type);
  });

  it("tell of a step once", () => {
    const newsOf = createNews();
    expect(newsOf(look({}))).toEqual([{ kind: "step", text: "backup-1: asking the source" }]);
    expect(newsOf(look({}))).toEqual([]);
    expect(newsOf(look({}, 0, { progress: { step: "seal.v1.requested" } }))).toEqual([
      { kind: "step", text: "backup-1: writing the manifest" },
    ]);
  });

  it("tell of each failed attempt once, while the next one runs too", () => {
    const newsOf = createNews();
    newsOf(look({}));
    const failed = look({ attempt: 1, lease: lease(0), error }, 1);
    const text = "attempt 1 failed, it will be tried again: nobody answers (UNAVAILABLE)";
    expect(newsOf(failed)).toEqual([{ kind: "trouble", text }]);
    expect(newsOf(failed)).toEqual([]);
    expect(newsOf(look({ attempt: 2, lease: lease(60_000), error }, 2))).toEqual([]);
    expect(newsOf(look({ attempt: 2, lease: lease(0), error }, 3))[0]?.text).toContain("attempt 2 failed");
  });

  it("tell of what had to be done again, once, and not what they told with an attempt", () => {
    const newsOf = createNews();
    newsOf(look({}));
    const incident = { time: time(0), code: "UNAVAILABLE", message: "the replica broke down" } as const;
    const text = "done again: the replica broke down (UNAVAILABLE)";
    expect(newsOf(look({}, 1, { incidents: [incident] }))).toEqual([{ kind: "trouble", text }]);
    newsOf(look({ attempt: 1, lease: lease(0), error }, 2, { incidents: [incident] }));
    expect(newsOf(look({ done: true }, 3, { incidents: [incident, { ...incident, ...error }] }))).toEqual([]);
  });

  it("say nothing of a first attempt that runs", () => {
    const newsOf = createNews();
    newsOf(look({}));
    expect(newsOf(look({ attempt: 1, lease: lease(60_000) }, 40_000))).toEqual([]);
  });

  it("complain once when nobody takes a task for 30 s", () => {
    const newsOf = createNews();
    newsOf(look({}));
    expect(newsOf(look({}, 29_999))).toEqual([]);
    const text = "nobody has taken backup.v1.requested for 30 s: are the functions running?";
    expect(newsOf(look({}, 30_000))).toEqual([{ kind: "trouble", text }]);
    expect(newsOf(look({}, 90_000))).toEqual([]);
  });
});

describe("the progress line", () => {
  it("has a bar where the total is known", () => {
    const progress = { step: "backup.v1.requested", doneBytes: 512 * 1024, totalBytes: 1024 * 1024 };
    expect(progressLine(look({ progress }, 2_500))).toBe(
      "[############............] 50 %  512.0 KiB of 1.0 MiB  asking the source  2 s",
    );
  });

  it("tells what is done where the total is not known", () => {
    const progress = { step: "backup.v1.requested", doneBytes: 3 };
    expect(progressLine(look({ progress }))).toBe("3 B  asking the source  0 s");
  });

  it("knows of a restore's parts also those that were not asked for yet", () => {
    const sums = { databases: {}, expiredKeys: 0, soonExpiredKeys: 0, functions: 0 };
    const plan = {
      files: [{ sizeBytes: 3 * 1024 }, { sizeBytes: 1024 }],
      parts: Array.from({ length: 8 }, () => ({ file: 0 })),
      loadedCount: 3,
      loaded: [{ file: 0, ...sums, sizeBytes: 1536 }],
    } as unknown as RestorePlan;
    const step = "part.v1.requested";
    const task = { type: step, progress: { step, doneBytes: 512, totalBytes: 512 } } as const;
    expect(progressLine(look(task, 0, { progress: { step }, plan }))).toBe(
      "[############............] 50 %  2.0 KiB of 4.0 KiB  loading  3 of 8  0 s",
    );
  });

  it("never wraps", () => {
    const progress = { step: "backup.v1.requested", doneBytes: 1, totalBytes: 2 ** 40 };
    const operation = { progress: { step: "a step of a newer version with a name that is very long indeed" } };
    const tasks = { type: operation.progress.step as Task["type"], progress };
    expect(progressLine(look(tasks, 0, operation))).toHaveLength(79);
  });

  it("has no bytes before there are any", () => {
    expect(progressLine(look({}))).toBe("asking the source  0 s");
  });
});

describe("waiting", () => {
  let world: World;
  beforeEach(async () => {
    world = createWorld();
    await world.ports.store.commit([
      { kind: "create", path: request.name, data: request },
      { kind: "create", path: `${request.name}/tasks/backup.v1.requested`, data: fresh },
    ]);
  });

  /** Waits, and calls `onPause` at each pause with its length; time passes by as much. */
  async function wait(
    onPause: (pause: number, count: number) => unknown,
    isTerminal = false,
    isAnswering: (count: number) => boolean = () => true,
  ): Promise<Outcome> {
    let count = 0;
    const interruption = new AbortController();
    async function sleep(pause: number, signal?: AbortSignal): Promise<void> {
      await world.clock.advance(pause);
      if ((await onPause(pause, count++)) === "interrupt") interruption.abort();
      signal?.throwIfAborted();
    }
    const get: Ports["store"]["get"] = async (path) => {
      if (isAnswering(count)) return await world.ports.store.get(path);
      throw new StatusError("UNAVAILABLE", "the store does not answer");
    };
    const ports = { ...world.ports, clock: { ...world.clock, sleep }, store: { ...world.ports.store, get } };
    return await valkeep("operations wait backup-1", { ports, isTerminal, signal: interruption.signal });
  }

  async function end(changes: Partial<Operation> = {}): Promise<void> {
    const doc = await world.ports.store.get<Operation>(request.name);
    const data = { ...request, done: true, ...changes };
    await world.ports.store.commit([{ kind: "put", path: request.name, data, updateTime: doc?.updateTime ?? "" }]);
  }

  it("looks every quarter of a second at first, then every second", async () => {
    const pauses: number[] = [];
    await wait(async (pause, count) => {
      pauses.push(pause);
      if (count === 20) await end();
    });
    expect([pauses[0], pauses.at(-1)]).toEqual([250, 1_000]);
  });

  it("writes a line for each step where nobody watches", async () => {
    const { exitCode, stderr } = await wait(async (_, count) => {
      if (count === 3) await end();
    });
    expect([exitCode, stderr]).toEqual([0, "backup-1: asking the source\n"]);
  });

  it("draws over its own line where somebody watches, and takes it away at the end", async () => {
    const { stderr } = await wait(async (_, count) => {
      if (count === 0) await end();
    }, true);
    expect(stderr).toBe("\r\u001b[Kasking the source  0 s\r\u001b[K");
  });

  it("goes on through a time in which the store does not answer, and says so once", async () => {
    const ended = async (_: number, count: number) => {
      if (count === 8) await end();
    };
    const { exitCode, stderr } = await wait(ended, false, (count) => count < 2 || count > 6);
    expect(exitCode).toBe(0);
    const complaint =
      "operations/backup-1 cannot be looked at now, trying again: the store does not answer (UNAVAILABLE)";
    expect(stderr).toBe(`backup-1: asking the source\n${complaint}\n`);
  });

  it("fails once the store has not answered for a minute, and says how to go on waiting", async () => {
    const { exitCode, stderr } = await wait(
      () => undefined,
      false,
      (count) => count < 2,
    );
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(
      /\noperations\/backup-1 may go on, nobody can look: the store does not answer; valkeep operations wait backup-1 waits for its end \(UNAVAILABLE\)\n$/,
    );
    expect(world.clock.monotonic()).toBeGreaterThan(60_000);
  });

  it("leaves the operation running after Ctrl-C and says how to go on waiting", async () => {
    const { exitCode, stdout, stderr } = await wait(() => "interrupt");
    expect([exitCode, stdout]).toEqual([130, ""]);
    expect(stderr).toContain("operations/backup-1 goes on; valkeep operations wait backup-1 waits for its end\n");
    expect((await world.ports.store.get<Operation>(request.name))?.data.done).toBe(false);
  });

  it.each([
    ["FAILED_PRECONDITION", 3],
    ["NOT_FOUND", 3],
    ["ALREADY_EXISTS", 3],
    ["DATA_LOSS", 1],
    ["CANCELLED", 1],
    ["DEADLINE_EXCEEDED", 1],
    ["INVALID_ARGUMENT", 1],
  ] as const)("an operation that ended with %s exits %i", async (code, exitCode) => {
    await end({ error: { code, message: "it did not go well" } });
    const outcome = await wait(() => undefined);
    expect([outcome.exitCode, outcome.stderr]).toEqual([
      exitCode,
      `operations/backup-1: it did not go well (${code})\n`,
    ]);
  });

  it("refuses an operation that is not there", async () => {
    expect((await valkeep("operations wait backup-2", world)).exitCode).toBe(3);
  });
});
