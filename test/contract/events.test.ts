import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Events } from "../../shared/pipeline/ports.ts";
import { type EventsSubject, eventsBackends } from "./backends.ts";

describe.each(eventsBackends)("events in $name", ({ start }) => {
  let events: Events;
  let arrived: EventsSubject["arrived"];
  let stop: () => Promise<void>;
  beforeAll(async () => ({ events, arrived, stop } = await start()), 30_000);
  afterAll(() => stop());

  const invalid = expect.objectContaining({ code: "INVALID_ARGUMENT" });

  it("arrive on their topic as they were published", async () => {
    const request = {
      type: "backup.v1.requested",
      data: { instance: "orders", list: [1, null, "ä😀"] },
      attributes: { operation: "backup-1", empty: "" },
    } as const;
    await events.publish(request);
    await events.publish({ type: "tick.v1", data: {}, attributes: {} });
    const found = await arrived(2);
    expect(found).toHaveLength(2);
    expect(found).toEqual(expect.arrayContaining([request, { type: "tick.v1", data: {}, attributes: {} }]));
  });

  it("are all kept when many are published at once", async () => {
    const wanted = Array.from({ length: 20 }, (_, n) => n);
    await Promise.all(wanted.map((n) => events.publish({ type: "tick.v1", data: { n }, attributes: {} })));
    const found = (await arrived(20)).map(({ data }) => (data as { n: number }).n);
    expect(found.sort((a, b) => a - b)).toEqual(wanted);
  });

  it("are copies: changing what was published changes nothing", async () => {
    const data = { n: 1 };
    const published = events.publish({ type: "tick.v1", data, attributes: {} });
    data.n = 2;
    await published;
    expect((await arrived(1))[0]?.data).toEqual({ n: 1 });
  });

  it("are UNAVAILABLE where there is no such topic", async () => {
    const publishing = events.publish({ type: "sweep.v1.requested", data: {}, attributes: {} });
    await expect(publishing).rejects.toEqual(expect.objectContaining({ code: "UNAVAILABLE" }));
  });

  it("may be almost 10 MB", async () => {
    const data = { text: "x".repeat(9_900_000) };
    await events.publish({ type: "tick.v1", data, attributes: {} });
    expect((await arrived(1))[0]?.data).toEqual(data);
  });

  it("are INVALID_ARGUMENT above 10 MB", async () => {
    const data = { text: "x".repeat(10_000_000) };
    await expect(events.publish({ type: "tick.v1", data, attributes: {} })).rejects.toEqual(invalid);
  });

  it("are INVALID_ARGUMENT where the data is not JSON", async () => {
    await expect(events.publish({ type: "tick.v1", data: undefined, attributes: {} })).rejects.toEqual(invalid);
  });
});
