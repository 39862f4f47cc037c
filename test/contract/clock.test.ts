import { describe, expect, it } from "vitest";
import { createVirtualClock } from "../../shared/memory/clock.ts";

describe("a virtual clock", () => {
  it("stands still until it is moved", async () => {
    const clock = createVirtualClock(1000);
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect([clock.now(), clock.monotonic()]).toEqual([1000, 0]);
    await clock.advance(7);
    expect([clock.now(), clock.monotonic()]).toEqual([1007, 7]);
  });

  it("wakes sleepers in the order of their times, each at its own", async () => {
    const clock = createVirtualClock();
    const woken: unknown[] = [];
    for (const [name, after] of Object.entries({ late: 30, early: 10, never: 41, also: 30 }))
      void clock.sleep(after).then(() => woken.push([name, clock.monotonic()]));
    await clock.advance(40);
    expect(woken).toEqual([
      ["early", 10],
      ["late", 30],
      ["also", 30],
    ]);
  });

  it("wakes who falls asleep again on the way", async () => {
    const clock = createVirtualClock();
    const times: number[] = [];
    const tick = async (): Promise<void> => {
      await clock.sleep(20);
      times.push(clock.monotonic());
      await tick();
    };
    void tick();
    await clock.advance(70);
    expect(times).toEqual([20, 40, 60]);
    expect(clock.nextWake()).toBe(80);
  });

  it("lets everything else come to rest before it goes on, however long its chain of promises", async () => {
    const clock = createVirtualClock();
    let steps = 0;
    void clock.sleep(10).then(async () => {
      for (; steps < 10_000; steps++) await undefined;
    });
    void clock.sleep(11).then(() => expect(steps).toBe(10_000));
    await clock.advance(11);
    expect(steps).toBe(10_000);
  });

  it("wakes a sleeper whose signal is aborted with the signal's reason, once", async () => {
    const clock = createVirtualClock();
    const cut = new AbortController();
    const sleeping = clock.sleep(10, cut.signal);
    cut.abort(new Error("enough"));
    await expect(sleeping).rejects.toThrow("enough");
    expect(clock.nextWake()).toBeUndefined();
    await expect(clock.sleep(10, cut.signal)).rejects.toThrow("enough");
  });

  it("jumps without waking anybody", async () => {
    const clock = createVirtualClock(1000);
    void clock.sleep(10);
    clock.jump(-500);
    expect([clock.now(), clock.monotonic(), clock.nextWake()]).toEqual([500, 0, 10]);
  });
});
