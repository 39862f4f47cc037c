import { fillEverything } from "../fixture/dataset.ts";
import { fillCommon, fillExpiringFields, fillVectors } from "./fill.ts";
import type { Release } from "./release.ts";

/** What a source can be filled with. Each holds what newer servers brought beside what was there before. */
export interface Holding {
  /** As the table names it. */
  name: string;
  fill(endpoint: string): Promise<void>;
}

const common: Holding = { name: "common types", fill: fillCommon };
const everything: Holding = { name: "also small sets, streams", fill: fillEverything };
const expiringFields: Holding = {
  name: "also fields that expire",
  async fill(endpoint) {
    await fillEverything(endpoint);
    await fillExpiringFields(endpoint);
  },
};
const vectors: Holding = {
  name: "also vector sets",
  async fill(endpoint) {
    await fillEverything(endpoint);
    await fillVectors(endpoint);
  },
};

/** By source; what Redis 7.0 writes, every other server reads. */
export const holdings: Readonly<Record<Release, readonly Holding[]>> = {
  "redis-7.0": [common, everything],
  "8.0": [common, everything],
  "8.1": [common, everything],
  "9.1": [common, everything, expiringFields],
  "redis-8.0": [common, everything, expiringFields, vectors],
};
