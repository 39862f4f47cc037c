import { describe, expect, it } from "vitest";
import type { EventType } from "../../shared/backup/event.ts";
import type { Operation, Task } from "../../shared/backup/operation.ts";
import { StatusError } from "../../shared/error.ts";
import { createVirtualClock, type VirtualClock } from "../../shared/memory/clock.ts";
import { createMemoryEvents } from "../../shared/memory/events.ts";
import { createSequentialIds } from "../../shared/memory/ids.ts";
import { createMemoryLog } from "../../shared/memory/log.ts";
import { createMemoryObjects } from "../../shared/memory/objects.ts";
import { createMemoryScheduler } from "../../shared/memory/scheduler.ts";
import { createMemoryStore } from "../../shared/memory/store.ts";
import { createMemoryValkey } from "../../shared/memory/valkey.ts";
import { buried } from "../../shared/pipeline/dead-letter.ts";
import type { Incoming } from "../../shared/pipeline/envelope.ts";
import { type Answer, handle } from "../../shared/pipeline/handle.ts";
import type { Clock, Ports } from "../../shared/pipeline/ports.ts";
import { type AnyStep, step } from "../../shared/pipeline/step.ts";
import { endOperation, submit } from "../../shared/pipeline/submit.ts";
import { timing, timingOf } from "../../shared/pipeline/timing.ts";

const message = (
  data: unknown = { requestId: "r1" },
  attributes: Record<string, string> = {},
  type: EventType = "sweep.v1.requested",
): Incoming => ({
  type,
  messageId: "m1",
  publishTime: "2026-01-01T00:00:00.000Z",
  attributes,
  data: Buffer.from(typeof data === "string" ? data : JSON.stringify(data)),
});

function setUp() {
  const clock = createVirtualClock();
  const events = createMemoryEvents();
  const { log, lines } = createMemoryLog();
  const ports: Ports = {
    store: createMemoryStore(),
    objects: createMemoryObjects({}),
    events,
    valkey: createMemoryValkey(),
    scheduler: createMemoryScheduler({ events, clock }),
    clock,
    ids: createSequentialIds(),
    log,
    settings: { vaultBucket: "vault", inboxBucket: "inbox" },
  };
  const deliver = (run: NonNullable<AnyStep["run"]>, incoming = message()): Promise<Answer> => {
    const steps = [
      step({
        on: "sweep.v1.requested",
        run,
        commit: async (_work, _result, change) => await change.end({ response: { by: clock.now() } }),
      }),
    ];
    return handle(steps, incoming, ports, timing);
  };
  return { ports, clock, events, lines, deliver };
}

const operations = async ({ store }: Ports): Promise<Operation[]> =>
  (await store.query<Operation>({ collection: "operations" })).map(({ data }) => data);
const theTask = async ({ store }: Ports): Promise<Task | undefined> =>
  (await store.query<Task>({ collection: "tasks", group: true }))[0]?.data;

/** Advances until the promise settles. */
async function settled<T>(promise: Promise<T>, clock: VirtualClock, stepMs = 1_000): Promise<T> {
  let isDone = false;
  const mark = () => {
    isDone = true;
  };
  promise.then(mark, mark);
  for (let round = 0; round < 5_000 && !isDone; round++) await clock.advance(stepMs);
  return await promise;
}

const failing =
  (code: ConstructorParameters<typeof StatusError>[0], reason = "no") =>
  async () => {
    throw new StatusError(code, reason);
  };

/** A timer of a process that stands still: it never comes, but can be cancelled. */
const untilAborted = (_milliseconds: number, signal?: AbortSignal): Promise<void> =>
  new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason), { once: true }));

describe("a delivery", () => {
  it("is told later while somebody alive holds the lease, and counts no attempt", async () => {
    const { ports, clock, deliver } = setUp();
    const first = deliver(() => clock.sleep(30_000));
    await clock.advance(1_000);
    expect(await deliver(async () => undefined)).toBe("later");
    expect(await settled(first, clock)).toBe("done");
    expect((await theTask(ports))?.attempt).toBe(1);
  });

  it("keeps its lease for as long as its step runs", async () => {
    const { ports, clock, deliver } = setUp();
    const first = deliver(() => clock.sleep(300_000));
    await clock.advance(200_000);
    expect(await deliver(async () => undefined)).toBe("later");
    expect(await settled(first, clock)).toBe("done");
    expect((await theTask(ports))?.lease?.epoch).toBe(1);
  });

  it("takes over once the lease has lapsed, and the zombie's commit changes nothing", async () => {
    const { ports, clock, deliver } = setUp();
    const { store } = ports;
    const stuck = { ...store, get: () => new Promise<never>(() => undefined) };
    let wake: () => void = () => undefined;
    const steps = [
      step({
        on: "sweep.v1.requested",
        run: () =>
          new Promise<void>((resolve) => {
            wake = resolve;
          }),
        commit: async (_work, _result, change) => await change.end({ response: { by: "zombie" } }),
      }),
    ];
    const stopped: Ports = {
      ...ports,
      store: { ...stuck, getAll: store.getAll },
      clock: { ...clock, sleep: untilAborted },
    };
    const zombie = handle(steps, message(), { ...stopped, store }, timing).catch((error) => error);
    await clock.advance(timing.lease + 1);
    let isSecondIn = false;
    const second = deliver(async () => {
      isSecondIn = true;
      await clock.sleep(5_000);
    });
    await clock.advance(10);
    expect(isSecondIn).toBe(true);
    wake();
    await clock.advance(10);
    expect((await operations(ports))[0]?.done).toBe(false);
    expect(await settled(second, clock)).toBe("done");
    expect((await operations(ports))[0]?.response).not.toEqual({ by: "zombie" });
    expect(await zombie).toBe("later");
  });

  it("has a higher epoch than each before it, by which servers tell their connections apart", async () => {
    const { deliver } = setUp();
    const epochs: number[] = [];
    for (let round = 0; round < 3; round++)
      await deliver(async ({ epoch }) => {
        epochs.push(epoch);
        throw new StatusError("UNAVAILABLE", "no");
      });
    expect(epochs).toEqual([1, 2, 3]);
  });

  it("of a task that is done runs nothing, though its operation goes on", async () => {
    const { ports } = setUp();
    let runs = 0;
    const steps = [
      step({
        on: "sweep.v1.requested",
        run: async () => void runs++,
        commit: async () => undefined,
      }),
    ];
    for (let round = 0; round < 2; round++) expect(await handle(steps, message(), ports, timing)).toBe("done");
    expect([runs, (await operations(ports))[0]?.done]).toEqual([1, false]);
  });

  it("does not renew a lease that somebody else has by now", async () => {
    const { ports, clock, deliver } = setUp();
    let renewed: Promise<unknown> = Promise.resolve();
    const taken = Promise.withResolvers<void>();
    const steps = [
      step({
        on: "sweep.v1.requested",
        async run(work) {
          await taken.promise;
          renewed = work.renew().catch((error) => error);
          await renewed;
        },
        commit: async (_work, _result, change) => await change.end(),
      }),
    ];
    const zombie = handle(steps, message(), { ...ports, clock: { ...clock, sleep: untilAborted } }, timing);
    await clock.advance(timing.lease + 1);
    const second = deliver(() => clock.sleep(5_000));
    await clock.advance(10);
    const lease = (await theTask(ports))?.lease;
    taken.resolve();
    expect(await zombie).toBe("later");
    expect(await renewed).toMatchObject({ code: "ABORTED", message: expect.stringContaining("somebody else goes on") });
    expect((await theTask(ports))?.lease).toEqual(lease);
    expect(await settled(second, clock)).toBe("done");
  });

  it("aborts its step ten seconds before a lease that cannot be renewed would lapse", async () => {
    const { ports, clock, deliver } = setUp();
    let abortedAt = 0;
    const start = clock.monotonic();
    const { commit } = ports.store;
    const first = deliver(async (_work, _ports, signal) => {
      ports.store.commit = failing("UNAVAILABLE");
      signal.addEventListener("abort", () => {
        abortedAt = clock.monotonic() - start;
      });
      await clock.sleep(200_000, signal);
    });
    await clock.advance(100_000);
    ports.store.commit = commit;
    expect(await settled(first, clock)).toBe("later");
    expect(abortedAt).toBe(timing.lease - timing.margin);
  });

  it("reckons a renewed lease from when it was asked for, however late the answer comes", async () => {
    const { ports, clock, deliver } = setUp();
    const { commit } = ports.store;
    let renewedAt = 0;
    let abortedAt = 0;
    const first = deliver(async (_work, _ports, signal) => {
      ports.store.commit = async (writes) => {
        renewedAt = clock.monotonic();
        ports.store.commit = failing("UNAVAILABLE");
        await commit(writes);
        await clock.sleep(15_000);
      };
      signal.addEventListener("abort", () => {
        abortedAt = clock.monotonic();
      });
      await clock.sleep(200_000, signal);
    });
    await clock.advance(100_000);
    ports.store.commit = commit;
    expect(await settled(first, clock)).toBe("later");
    expect([renewedAt > 0, abortedAt]).toEqual([true, renewedAt + timing.lease - timing.margin]);
  });

  it.each([20, 60])("holds as many seconds as whoever gave it was told, %i, whatever others are", async (seconds) => {
    const { ports, clock } = setUp();
    const deliver = (
      run: () => Promise<void>,
      { sleep, leaseSeconds }: { sleep: Clock["sleep"]; leaseSeconds: number },
    ) => {
      const steps = [
        step({
          on: "sweep.v1.requested",
          run,
          commit: async (_work, _result, change) => await change.end({ response: {} }),
        }),
      ];
      return handle(steps, message(), { ...ports, clock: { ...clock, sleep } }, timingOf(leaseSeconds));
    };
    const other = () => deliver(async () => undefined, { sleep: clock.sleep, leaseSeconds: 20 });
    void deliver(() => new Promise(() => undefined), { sleep: untilAborted, leaseSeconds: seconds });
    for (const milliseconds of [1_000, 1_000 * seconds - 1_001]) {
      await clock.advance(milliseconds);
      expect(await settled(other(), clock, 0)).toBe("later");
    }
    await clock.advance(1);
    expect(await settled(other(), clock, 0)).toBe("done");
  });

  it("that is not done within 540 s fails for good and says how far it came", async () => {
    const { ports, clock, deliver } = setUp();
    const first = deliver(async (work, _ports, signal) => {
      work.progress(54_000_000);
      await clock.sleep(900_000, signal);
    });
    expect(await settled(first, clock)).toBe("done");
    expect((await operations(ports))[0]?.error).toEqual({
      code: "DEADLINE_EXCEEDED",
      message: "sweep.v1.requested was not done within 540 s: 54000000 bytes done at 0.1 MB/s, and it would start over",
    });
  });

  it("that is not done within 540 s fails with what its step adds to that, and with nothing else that it throws", async () => {
    for (const [code, expected] of [
      ["DEADLINE_EXCEEDED", /it would start over; take less$/],
      ["UNAVAILABLE", /it would start over$/],
    ] as const) {
      const { ports, clock, deliver } = setUp();
      const first = deliver(async (_work, _ports, signal) => {
        await clock.sleep(900_000, signal).catch((cause) => {
          throw new StatusError(code, `${cause.message}; take less`, { cause });
        });
      });
      expect(await settled(first, clock)).toBe("done");
      expect((await operations(ports))[0]?.error).toMatchObject({ code: "DEADLINE_EXCEEDED" });
      expect((await operations(ports))[0]?.error?.message).toMatch(expected);
    }
  });

  it("that is not done within 540 s comes again, where its step goes on from where it was", async () => {
    const { ports, clock } = setUp();
    const steps = [
      step({
        on: "sweep.v1.requested",
        goesOn: true,
        async run(work, _ports, signal) {
          work.progress(54);
          await clock.sleep(900_000, signal);
        },
        commit: async () => undefined,
      }),
    ];
    expect(await settled(handle(steps, message(), ports, timing), clock)).toBe("later");
    const error = {
      code: "DEADLINE_EXCEEDED",
      message: "sweep.v1.requested was not done within 540 s: 54 bytes done",
    };
    expect(await theTask(ports)).toMatchObject({ attempt: 1, done: false, error });
  });

  it("of an operation that was cancelled stops and changes nothing", async () => {
    const { ports, clock, deliver } = setUp();
    const first = deliver((_work, _ports, signal) => clock.sleep(100_000, signal));
    await clock.advance(1_000);
    const [operation] = await operations(ports);
    expect(await endOperation(ports, operation?.name ?? "", new StatusError("CANCELLED", "by hand"), true)).toBe(true);
    expect(await settled(first, clock)).toBe("later");
    expect((await operations(ports))[0]?.error?.code).toBe("CANCELLED");
    expect(await deliver(failing("INTERNAL", "must not run"))).toBe("done");
  });

  it("of an operation that is cancelled while it is admitted runs nothing", async () => {
    const { ports, clock } = setUp();
    let runs = 0;
    const steps = [
      step({
        on: "sweep.v1.requested",
        async admit(_work, change) {
          await endOperation(ports, change.operation.name, new StatusError("CANCELLED", "by hand"), true);
        },
        run: async () => void runs++,
        commit: async () => undefined,
      }),
    ];
    await settled(handle(steps, message(), ports, timing), clock);
    expect([runs, (await operations(ports))[0]?.error?.code]).toEqual([0, "CANCELLED"]);
  });
});

describe("an error", () => {
  it.each([
    "UNAVAILABLE",
    "ABORTED",
    "RESOURCE_EXHAUSTED",
    "UNKNOWN",
    "INTERNAL",
  ] as const)("%s comes again, up to ten attempts, then fails for good", async (code) => {
    const { ports, events, deliver } = setUp();
    for (let attempt = 1; attempt < timing.maxAttempts; attempt++) {
      expect(await deliver(failing(code))).toBe("later");
      expect(await theTask(ports)).toMatchObject({ attempt, done: false, error: { code, message: "no" } });
    }
    expect(await deliver(failing(code))).toBe("done");
    expect((await operations(ports))[0]).toMatchObject({
      done: true,
      error: { code, message: "gave up after 10 attempts: no" },
    });
    expect(events.messages.map(({ type }) => type)).toEqual(["operation.v1.failed"]);
  });

  it.each([
    "INVALID_ARGUMENT",
    "UNAUTHENTICATED",
    "PERMISSION_DENIED",
    "UNIMPLEMENTED",
    "DATA_LOSS",
    "DEADLINE_EXCEEDED",
  ] as const)("%s fails at once and is told", async (code) => {
    const { ports, events, deliver } = setUp();
    expect(await deliver(failing(code))).toBe("done");
    expect((await operations(ports))[0]).toMatchObject({ done: true, error: { code, message: "no" } });
    expect(events.messages.map(({ type }) => type)).toEqual(["operation.v1.failed"]);
  });

  it.each([
    "FAILED_PRECONDITION",
    "NOT_FOUND",
    "ALREADY_EXISTS",
  ] as const)("%s is a refusal and alarms nobody", async (code) => {
    const { ports, events, deliver } = setUp();
    expect(await deliver(failing(code))).toBe("done");
    expect((await operations(ports))[0]).toMatchObject({ done: true, error: { code } });
    expect(events.messages).toEqual([]);
  });

  it("of a kind that nobody knows is retried", async () => {
    const { deliver } = setUp();
    expect(
      await deliver(async () => {
        throw new TypeError("undefined is not a function");
      }),
    ).toBe("later");
  });
});

describe("identity", () => {
  const ran = (calls: number[]) => async () => void calls.push(1);

  it("is the requestId: another message with the same one is the same request", async () => {
    const { ports, deliver } = setUp();
    const calls: number[] = [];
    await deliver(ran(calls), message({ requestId: "r1" }));
    await deliver(ran(calls), { ...message({ requestId: "r1" }), messageId: "m2" });
    expect([calls.length, (await operations(ports)).length]).toEqual([1, 1]);
  });

  it("is the slot of a schedule: Cloud Scheduler may publish twice, and early", async () => {
    const { deliver } = setUp();
    const calls: number[] = [];
    const data = { schedule: { cron: "0 2 * * *", timeZone: "Etc/UTC" } };
    for (const [messageId, publishTime] of [
      ["a", "2026-01-02T01:59:45Z"],
      ["b", "2026-01-02T02:00:01Z"],
      ["c", "2026-01-02T09:00:00Z"],
    ] as const)
      await deliver(ran(calls), { ...message(data), messageId, publishTime });
    expect(calls).toHaveLength(1);
    await deliver(ran(calls), { ...message(data), messageId: "d", publishTime: "2026-01-03T02:00:00Z" });
    expect(calls).toHaveLength(2);
  });

  it("is the message id otherwise", async () => {
    const { deliver } = setUp();
    const calls: number[] = [];
    await deliver(ran(calls), message({}));
    await deliver(ran(calls), message({}));
    await deliver(ran(calls), { ...message({}), messageId: "m2" });
    expect(calls).toHaveLength(2);
  });

  it("asked through submit with one requestId twice is one operation", async () => {
    const { ports } = setUp();
    const names = [
      await submit(ports, "sweep.v1.requested", { requestId: "x" }),
      await submit(ports, "sweep.v1.requested", { requestId: "x" }),
    ];
    expect(names[0]).toBe(names[1]);
    expect(await operations(ports)).toHaveLength(1);
  });
});

describe("a poisoned message", () => {
  it.each([
    ["that is not JSON", message("{nonsense"), /not JSON/],
    ["that is not UTF-8", { ...message(), data: Buffer.from('{"requestId":"\xff"}', "latin1") }, /not JSON/],
    ["of 1 MB of nonsense", message("x".repeat(1_000_000)), /1000000 bytes, a request has at most 65536/],
    ["of another version", message({}, { type: "sweep.v2.requested" }), /says it is "sweep.v2.requested"/],
    ["that is no object", message("[1,2]"), /sweep.v1.requested/],
    ["with a field that nobody knows", message({ instnace: "orders" }), /instnace/],
    [
      "with a cron that never comes",
      message({ schedule: { cron: "0 0 31 2 *", timeZone: "Etc/UTC" } }),
      /never comes due/,
    ],
    ["with an unknown time zone", message({ schedule: { cron: "0 0 * * *", timeZone: "Mars/Base" } }), /Mars\/Base/],
    ["with a requestId full of tricks", message({ requestId: "../../x" }), /malformed request id/],
  ])("%s ends as a failed operation that says why, and is not delivered again", async (_name, incoming, reason) => {
    const { ports, deliver } = setUp();
    expect(await deliver(failing("INTERNAL", "must not run"), incoming)).toBe("done");
    const [operation] = await operations(ports);
    expect(operation).toMatchObject({
      done: true,
      error: { code: "INVALID_ARGUMENT", message: expect.stringMatching(reason) },
    });
    expect(await deliver(failing("INTERNAL", "must not run"), incoming)).toBe("done");
    expect(await operations(ports)).toHaveLength(1);
  });

  it("that goes on with an operation and names none is refused", async () => {
    const { ports } = setUp();
    expect(
      await handle([], message({ backup: "backupCollections/a/backups/b" }, {}, "seal.v1.requested"), ports, timing),
    ).toBe("done");
    expect((await operations(ports))[0]?.error?.message).toMatch(/belongs to an operation/);
  });

  it("that names a task which is not kept is dropped with a warning", async () => {
    const { ports, lines } = setUp();
    const attributes = { operation: "sweep-0123456789abcdef", task: "sweep.v1.requested" };
    expect(await handle([], message({}, attributes), ports, timing)).toBe("done");
    expect(lines.some(({ severity }) => severity === "WARNING")).toBe(true);
    expect(await operations(ports)).toEqual([]);
  });

  it.each([
    "../../instances/orders",
    "sweep-x/../../y",
    "",
  ])("whose attributes name the path %j is no task of ours", async (operation) => {
    const { ports } = setUp();
    await handle([], message({ nonsense: 1 }, { operation, task: "sweep.v1.requested" }), ports, timing);
    expect((await operations(ports)).map(({ error }) => error?.code)).toEqual(["INVALID_ARGUMENT"]);
  });
});

it("an operation that has ended is ended by nobody else", async () => {
  const { ports, events, deliver } = setUp();
  await deliver(async () => undefined);
  const [ended] = await operations(ports);
  expect(await endOperation(ports, ended?.name ?? "", new StatusError("CANCELLED", "by hand"), false)).toBe(false);
  expect([await operations(ports), events.messages]).toEqual([[ended], []]);
});

describe("a dead letter", () => {
  it("that was never claimed is begun: nothing disappears", async () => {
    const { ports, events } = setUp();
    const attributes = { CloudPubSubDeadLetterSourceSubscription: "valkeep.sweep.v1.requested.sweep" };
    await buried(message({ requestId: "r1" }, attributes), ports, timing);
    expect(await operations(ports)).toMatchObject([{ verb: "sweep", done: false }]);
    expect(events.messages.map(({ type }) => type)).toEqual(["sweep.v1.requested"]);
  });

  it("that cannot be parsed ends as a failed operation", async () => {
    const { ports } = setUp();
    await buried(
      message("{", { CloudPubSubDeadLetterSourceSubscription: "valkeep.sweep.v1.requested.sweep" }),
      ports,
      timing,
    );
    expect(await operations(ports)).toMatchObject([{ done: true, error: { code: "INVALID_ARGUMENT" } }]);
  });

  it("is left to relay while attempts are left, and fails its operation once none are", async () => {
    const { ports, deliver } = setUp();
    await deliver(failing("UNAVAILABLE", "nobody answers"));
    const [operation] = await operations(ports);
    const attributes = {
      operation: operation?.name.slice("operations/".length) ?? "",
      task: "sweep.v1.requested",
      type: "sweep.v1.requested",
    };
    await buried(message({}, attributes), ports, timing);
    expect((await operations(ports))[0]?.done).toBe(false);
    await buried(message({}, attributes), ports, { ...timing, maxAttempts: 1 });
    expect((await operations(ports))[0]).toMatchObject({
      done: true,
      error: { code: "UNAVAILABLE", message: "gave up after 1 attempts: nobody answers" },
    });
  });

  it("is left to whoever is at its last attempt", async () => {
    const { ports, clock, deliver } = setUp();
    const last = deliver(() => clock.sleep(30_000));
    await clock.advance(1_000);
    const [{ name } = { name: "" }] = await operations(ports);
    const attributes = { operation: name.slice("operations/".length), task: "sweep.v1.requested" };
    const letter = message({}, { ...attributes, type: "sweep.v1.requested" });
    await buried(letter, ports, { ...timing, maxAttempts: 1 });
    expect(await settled(last, clock)).toBe("done");
    expect((await operations(ports)).map(({ done, error }) => [done, error])).toEqual([[true, undefined]]);
  });

  it("of no known topic is logged as an error", async () => {
    const { ports, lines } = setUp();
    await buried(message({}), ports, timing);
    expect(lines.map(({ severity }) => severity)).toEqual(["ERROR"]);
  });
});
