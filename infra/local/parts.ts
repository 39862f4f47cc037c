/** Something that was started and must be stopped. */
export interface Part {
  stop(): Promise<unknown>;
}

export interface Parts {
  /** Notes what is being started, and gives it back. */
  add<T extends Part>(start: Promise<T>): Promise<T>;
  /** Waits for every start and stops whatever came of it; repeats nothing that was stopped before. */
  stopAll(): Promise<void>;
}

/** Keeps account of parts that start at the same time, so that none is left behind when one of them fails. */
export function newParts(): Parts {
  const starts = new Set<Promise<Part>>();
  return {
    add(start) {
      starts.add(start);
      // Whoever awaits it hears of its failure; until then it is no unhandled one.
      start.catch(() => undefined);
      return start;
    },
    async stopAll() {
      const all = [...starts];
      starts.clear();
      const stops = all.map((start) =>
        start.then(
          (part) => part.stop(),
          () => undefined,
        ),
      );
      const failed = (await Promise.allSettled(stops)).find((stop) => stop.status === "rejected");
      if (failed) throw failed.reason;
    },
  };
}
