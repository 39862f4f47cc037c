import { beforeEach, describe, expect, it } from "vitest";
import { relay } from "../../functions/relay.ts";
import type { Operation, Task } from "../../shared/backup/operation.ts";
import { StatusError } from "../../shared/error.ts";
import { buried } from "../../shared/pipeline/dead-letter.ts";
import type { Incoming } from "../../shared/pipeline/envelope.ts";
import { type Answer, handle } from "../../shared/pipeline/handle.ts";
import type { Ports } from "../../shared/pipeline/ports.ts";
import { type AnyStep, step, type Work } from "../../shared/pipeline/step.ts";
import { timing } from "../../shared/pipeline/timing.ts";
import { createWorld, type World } from "./world.ts";

type Act = (work: Work<"sweep.v1.requested">) => Promise<void>;

const message = (attributes: Record<string, string> = {}): Incoming => ({
  type: "sweep.v1.requested",
  messageId: "m1",
  publishTime: "2026-01-01T00:00:00.000Z",
  attributes,
  data: Buffer.from(JSON.stringify({ requestId: "r1" })),
});

let world: World;
beforeEach(() => {
  world = createWorld();
});

const attempt = (act: Act, ports: Ports = world.ports, goesOn = true): Promise<Answer> => {
  const sweeping: AnyStep = step({
    on: "sweep.v1.requested",
    goesOn,
    run: act,
    commit: async (_work, _result, change) => await change.end(),
  });
  return handle([sweeping], message(), ports, timing);
};

/** An attempt that comes to so many bytes, has that written down, and fails. */
const upTo =
  (doneBytes: number, keptBytes?: number): Act =>
  async (work) => {
    work.progress(doneBytes, 1_000, "mark", keptBytes);
    await work.renew();
    throw new StatusError("UNAVAILABLE", "cut off");
  };

const fruitless: Act = () => Promise.reject(new StatusError("UNAVAILABLE", "cut off"));

/** One attempt after the other, until the Operation has ended. Answers how many there were. */
async function attempts(...acts: Act[]): Promise<number> {
  for (const [at, act] of acts.entries()) if ((await attempt(act)) === "done") return at + 1;
  return acts.length;
}

const many = <T>(count: number, make: (at: number) => T): T[] => Array.from({ length: count }, (_, at) => make(at));

async function only(): Promise<{ operation: Operation; task: Task }> {
  const [operation] = await world.ports.store.query<Operation>({ collection: "operations" });
  const [task] = await world.ports.store.query<Task>({ collection: "tasks", group: true });
  if (operation === undefined || task === undefined) throw new Error("nothing was begun");
  return { operation: operation.data, task: task.data };
}

describe("a step that goes on where an earlier attempt ended", () => {
  it("is not given up as long as each attempt comes further", async () => {
    expect(await attempts(...many(40, (at) => upTo(at + 1)))).toBe(40);
    expect(await only()).toMatchObject({ operation: { done: false }, task: { attempt: 40 } });
    expect(await attempt(async () => undefined)).toBe("done");
    expect((await only()).operation.error).toBeUndefined();
  });

  it("is given up after ten attempts in a row that come no further, whatever those before have brought", async () => {
    expect(await attempts(...many(5, (at) => upTo(at + 1)), ...many(20, () => fruitless))).toBe(15);
    expect((await only()).operation.error).toEqual({
      code: "UNAVAILABLE",
      message: "gave up after 10 attempts that came no further, of 15: cut off",
    });
  });

  it("is given up after ten attempts that stay where it was", async () => {
    expect(await attempts(...many(20, () => upTo(7)))).toBe(11);
  });

  it("has ten attempts again once it has come further", async () => {
    const nine = many(9, () => fruitless);
    expect(await attempts(upTo(1), ...nine, upTo(2), ...nine, upTo(3), ...nine, fruitless, fruitless)).toBe(31);
  });

  it("may begin anew, and has as many attempts as it takes to come where it was", async () => {
    expect(await attempts(upTo(500), ...many(50, (at) => upTo(10 * at)), upTo(501))).toBe(52);
    expect(await attempts(...many(20, () => fruitless))).toBe(10);
  });

  it("is given up after it has begun anew ten times without coming further than it was", async () => {
    expect(await attempts(upTo(500), ...many(20, () => [upTo(100), upTo(500)]).flat())).toBe(20);
  });

  it("has brought nothing by what the next attempt has to do again", async () => {
    expect(await attempts(...many(20, (at) => upTo(at + 1, 0)))).toBe(10);
    expect((await only()).operation.error?.message).toBe("gave up after 10 attempts: cut off");
  });

  it("has brought nothing by what it then took back", async () => {
    const damaged: Act = async (work) => {
      work.progress(5, 1_000, "mark");
      await work.renew();
      await upTo(0)(work);
    };
    expect(await attempts(...many(20, () => damaged))).toBe(10);
  });

  it("has all the time of its operation again once it has come further, three days at most, and not for what it did in vain", async () => {
    const hours: number[] = [];
    for (const act of [upTo(1), upTo(2), fruitless, ...many(100, (at) => upTo(at + 3))]) {
      await attempt(act);
      await world.clock.advance(3_000_000);
      const { createTime, deadlineTime } = (await only()).operation;
      hours.push((Date.parse(deadlineTime) - Date.parse(createTime)) / 3_600_000);
    }
    expect(hours.slice(0, 5)).toEqual([60, 110, 160, 160, 260].map((minutes) => minutes / 60));
    expect(hours.at(-1)).toBe(72);
  });

  it("says at which of the attempts that brought nothing it is", async () => {
    const seen: [number, number][] = [];
    const seeing =
      (act: Act): Act =>
      async (work) => {
        seen.push([work.attempt, work.inVain]);
        await act(work);
      };
    await attempts(...[upTo(1), upTo(2), fruitless, fruitless, upTo(3), fruitless].map(seeing));
    expect(seen.map(([number]) => number)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(seen.map(([, inVain]) => inVain)).toEqual([1, 1, 1, 2, 3, 1]);
  });

  it("keeps what its dead letter needs to know: that attempts are left", async () => {
    await attempts(...many(12, (at) => upTo(at + 1)));
    const operation = (await only()).operation.name.slice("operations/".length);
    const letter = message({ operation, task: "sweep.v1.requested", type: "sweep.v1.requested" });
    await buried(letter, world.ports, timing);
    expect((await only()).operation.done).toBe(false);
    await attempt(fruitless);
    await buried(letter, world.ports, { ...timing, maxAttempts: 1 });
    expect((await only()).operation.error?.message).toBe(
      "gave up after 1 attempts that came no further, of 13: cut off",
    );
  });
});

it("a step that starts over is given up after ten attempts, however far each of them comes", async () => {
  let count = 0;
  while (count < 20 && (await attempt(upTo(++count), world.ports, false)) === "later");
  expect(count).toBe(10);
});

describe("a function that is killed at each attempt", () => {
  /** Dies as soon as it has come so far; the next one comes so much later. */
  async function killedAt(doneBytes: number, pauseMs = timing.lease + 1): Promise<void> {
    const { clock } = world;
    const died = Promise.withResolvers<void>();
    const dead: Ports = { ...world.ports, clock: { ...clock, sleep: () => new Promise<never>(() => undefined) } };
    const work = attempt(async ({ progress, renew }) => {
      progress(doneBytes, 1_000, "mark");
      await renew();
      died.resolve();
      await new Promise<never>(() => undefined);
    }, dead);
    await Promise.race([died.promise, work]);
    await clock.advance(pauseMs);
    await relay(world.ports, timing);
  }

  it("is given up after ten attempts that come no further", async () => {
    let count = 0;
    while (count < 20 && (count === 0 || !(await only()).operation.done)) await killedAt(Math.min(++count, 3));
    expect((await only()).operation.error).toEqual({
      code: "ABORTED",
      message: "gave up after 10 attempts that came no further, of 13: none of its attempts came back",
    });
  });

  it("after a little progress each time ends with the operation's deadline", async () => {
    let count = 0;
    while (count < 1_000 && (count === 0 || !(await only()).operation.done)) await killedAt(++count, 600_000);
    const { operation } = await only();
    expect(operation.error?.code).toBe("DEADLINE_EXCEEDED");
    expect((Date.parse(operation.endTime ?? "") - Date.parse(operation.createTime)) / 3_600_000).toBeCloseTo(72, 0);
  });
});
