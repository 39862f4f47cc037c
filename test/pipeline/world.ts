import { relay } from "../../functions/relay.ts";
import { type StepFunction, steps } from "../../functions/steps.ts";
import { watch as lookOut } from "../../functions/watch.ts";
import type { Instance } from "../../shared/backup/backup.ts";
import type { EventType } from "../../shared/backup/event.ts";
import { instanceName } from "../../shared/backup/name.ts";
import type { Operation } from "../../shared/backup/operation.ts";
import { routes } from "../../shared/backup/route.ts";
import { createVirtualClock } from "../../shared/memory/clock.ts";
import { createMemoryEvents, type PublishedMessage } from "../../shared/memory/events.ts";
import { createSequentialIds } from "../../shared/memory/ids.ts";
import { createMemoryLog } from "../../shared/memory/log.ts";
import { createMemoryObjects, type MemoryBucket } from "../../shared/memory/objects.ts";
import { createMemoryScheduler } from "../../shared/memory/scheduler.ts";
import { createMemoryStore } from "../../shared/memory/store.ts";
import { createMemoryValkey } from "../../shared/memory/valkey.ts";
import { handle } from "../../shared/pipeline/handle.ts";
import type { Ports } from "../../shared/pipeline/ports.ts";
import { timing } from "../../shared/pipeline/timing.ts";
import { type Fault, type Watched, watch } from "./crash.ts";
import { indexed } from "./indexed.ts";

/** Where and how a run goes wrong: at the effect `effect` of its `delivery`-th delivery, both from 0. */
export interface Plan {
  delivery: number;
  effect: number;
  fault: Fault;
}

/** How messages come: every one twice at once; a frozen delivery thawed beside the one that took over; each lost once. */
export interface Manner {
  isTwice?: boolean;
  isRacing?: boolean;
  isForgetful?: boolean;
}

/** The whole system in memory, on a clock that the test moves. */
export type World = ReturnType<typeof createWorld>;

export const vault = "vault";
export const inbox = "inbox";
export const exports = "exports";
/** In another region than all others. */
export const onward = "onward";

/** `borderBytes`: how far apart the places are where a file can be cut; 64 MiB where absent, as in production. */
export function createWorld({ borderBytes }: { borderBytes?: number } = {}) {
  const clock = createVirtualClock();
  const events = createMemoryEvents();
  const buckets: Record<string, MemoryBucket> = Object.fromEntries(
    [vault, inbox, exports, onward].map((name) => [
      name,
      { location: name === onward ? "ASIA-NORTHEAST2" : "ASIA-NORTHEAST1", locationType: "region" as const },
    ]),
  );
  const valkey = createMemoryValkey();
  const log = createMemoryLog();
  const ports = {
    store: indexed(createMemoryStore({ isShared: true })),
    objects: createMemoryObjects(buckets, { chunkBytes: 64, now: () => clock.now() }),
    events,
    valkey,
    scheduler: createMemoryScheduler({ events, clock }),
    clock,
    ids: createSequentialIds(),
    log: log.log,
    settings: { vaultBucket: vault, inboxBucket: inbox, ...(borderBytes !== undefined && { borderBytes }) },
  } satisfies Ports;
  let plan: Plan | undefined;
  let deliveries: Watched[] = [];
  /** What still has to be delivered, and from when. */
  let stillSince: number | undefined;
  let waiting: { message: PublishedMessage; due: number }[] = [];

  function begin(): Watched {
    const here = plan?.delivery === deliveries.length ? plan : undefined;
    const watched = watch(ports, here?.fault, here?.effect);
    deliveries.push(watched);
    return watched;
  }

  /** Lets a delivery run, the clock moving on whenever nothing else can, until it ends or stands still. */
  async function finish(watched: Watched, work: Promise<unknown>): Promise<"done" | "later" | "still"> {
    let outcome: "done" | "later" | undefined;
    work.then(
      (answer) => {
        outcome = answer === "later" ? "later" : "done";
      },
      () => {
        outcome = "later";
      },
    );
    for (let round = 0; ; round++) {
      await clock.advance(0);
      await new Promise(setImmediate);
      if (outcome !== undefined) return outcome;
      if (watched.isStill()) {
        stillSince ??= clock.monotonic();
        return "still";
      }
      if (round > 1000) throw new Error("a delivery neither ends nor stands still");
      const next = clock.nextWake();
      if (next !== undefined) await clock.advance(Math.max(0, next - clock.monotonic()));
    }
  }

  function start(watched: Watched, message: PublishedMessage): Promise<unknown> {
    const name = functionOf(message.type);
    if (name === undefined) return Promise.resolve("done");
    const data = Buffer.from(JSON.stringify(message.data));
    const incoming = { ...message, data, publishTime: new Date(clock.now()).toISOString() };
    return handle(steps[name], incoming, watched.ports, timing);
  }

  async function deliver(message: PublishedMessage): Promise<"done" | "later" | "still"> {
    const watched = begin();
    return await finish(watched, start(watched, message));
  }

  async function deliverAlone(message: PublishedMessage): Promise<void> {
    if ((await deliver(message)) !== "done") waiting.push({ message, due: clock.monotonic() + 10_000 });
  }

  /** Like `deliver`, but a delivery that stands still goes on in the midst of this one: two at the same Task. */
  async function deliverBeside(message: PublishedMessage, frozen: Watched): Promise<void> {
    const watched = begin();
    const work = start(watched, message);
    while (watched.effects.length < 4 && !watched.effects.includes("store.commit")) await new Promise(setImmediate);
    frozen.thaw();
    const answer = await finish(watched, work);
    if (answer !== "done") waiting.push({ message, due: clock.monotonic() + 10_000 });
  }

  /** Two deliveries of one message at a time; what is said later comes again. */
  async function deliverTwice(message: PublishedMessage): Promise<void> {
    const pair = [begin(), begin()];
    const answers = await Promise.all(pair.map((watched) => finish(watched, start(watched, message))));
    for (const answer of answers) if (answer !== "done") waiting.push({ message, due: clock.monotonic() + 10_000 });
  }

  async function tick(): Promise<void> {
    const watched = begin();
    await finish(watched, relay(watched.ports, timing));
  }

  /** So many rounds of `watch` at once. Answers how they ended. */
  async function look(count = 1): Promise<("done" | "later" | "still")[]> {
    const rounds = Array.from({ length: count }, begin);
    return await Promise.all(rounds.map((watched) => finish(watched, lookOut(watched.ports))));
  }

  /** Delivers, waits and ticks until nothing is left to do; a frozen delivery is thawed once the others are through. */
  async function settle({ isTwice = false, isRacing = false, isForgetful = false }: Manner = {}): Promise<void> {
    const thawed = new Set<Watched>();
    const forgotten = new Set<string>();
    const stoodStill = () =>
      deliveries.find((watched) => watched.isStill() && watched.wasHit() && !thawed.has(watched));
    for (let round = 0; round < 400; round++) {
      for (const message of events.take()) {
        const isLost = isForgetful && message.attributes.task !== undefined && !forgotten.has(message.attributes.task);
        if (isLost) forgotten.add(message.attributes.task ?? "");
        else waiting.push({ message, due: 0 });
      }
      const due = waiting.filter((entry) => entry.due <= clock.monotonic());
      waiting = waiting.filter((entry) => entry.due > clock.monotonic());
      for (const { message } of due) {
        const frozen = isRacing && isLapsed() ? stoodStill() : undefined;
        if (frozen !== undefined) thawed.add(frozen);
        await (frozen ? deliverBeside(message, frozen) : isTwice ? deliverTwice(message) : deliverAlone(message));
      }
      if (due.length > 0) continue;
      if (waiting.length === 0 && (await isQuiet())) {
        const frozen = stoodStill();
        if (frozen === undefined) return;
        thawed.add(frozen);
        frozen.thaw();
        await clock.advance(1_000);
        await new Promise(setImmediate);
        continue;
      }
      await clock.advance(10_000);
      await tick();
    }
    throw new Error("the system does not come to rest");
  }

  /** Whether the lease of the delivery that stands still has ended, so that the next claim takes over. */
  function isLapsed(): boolean {
    return clock.monotonic() - (stillSince ?? clock.monotonic()) > timing.lease;
  }

  async function isQuiet(): Promise<boolean> {
    const soon = new Date(clock.now() + 60_000).toISOString();
    const open = await ports.store.query<Operation>({ collection: "operations", where: [["done", "==", false]] });
    const running = open.filter(({ data }) => (data.postponed?.until ?? "") <= soon);
    const outbox = await ports.store.query({ collection: "outbox", where: [["relayTime", "<=", soon]] });
    return running.length === 0 && outbox.length === 0;
  }

  return {
    ports,
    clock,
    events,
    valkey,
    lines: log.lines,
    deliver,
    settle,
    tick,
    look,
    buckets,
    /** From now on deliveries are counted from 0, and one of them goes wrong. */
    plan(next: Plan | undefined) {
      plan = next;
      deliveries = [];
    },
    get deliveries(): readonly Watched[] {
      return deliveries;
    },
    wasHit: () => deliveries.some((watched) => watched.wasHit()),
  };
}

function functionOf(type: EventType): StepFunction | undefined {
  const names = Object.keys(steps) as StepFunction[];
  return names.find((name) => (routes[name] as readonly string[]).includes(type));
}

/** An Instance as it is registered. */
export function instanceOf(id: string, endpoint: string): Instance {
  return {
    name: instanceName(id),
    uid: `${id}-uid`.padEnd(8, "0").replaceAll(/[^a-z0-9]/g, "0"),
    engine: "SELF_MANAGED",
    mode: "CLUSTER_DISABLED",
    endpoint,
    transitEncryptionMode: "TRANSIT_ENCRYPTION_DISABLED",
    location: "asia-northeast1",
    shardCount: 1,
    replicaCount: 0,
    automatedBackupConfig: {
      automatedBackupMode: "ENABLED",
      fixedFrequencySchedule: { startTime: { hours: 2 } },
      retentionSeconds: 35 * 86_400,
    },
    deletionProtectionEnabled: false,
    createTime: "2026-01-01T00:00:00.000Z",
  };
}
