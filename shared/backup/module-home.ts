import type { Target } from "./target.ts";

/** Where a module type comes from: any of `modules` registers it. `product`: that name is another module's elsewhere. */
export interface ModuleHome {
  modules: readonly string[];
  product?: Target["product"];
}

const bloom: ModuleHome = { modules: ["bf"], product: "Redis" };

/**
 * Modules by the nine-character names of their types, as their own sources register them: RedisBloom and valkey-bloom are
 * both loaded as `bf` and read nothing of each other; RedisJSON is `ReJSON`, valkey-json is `json`, and both write ReJSON-RL.
 */
export const moduleHomes: Readonly<Record<string, ModuleHome>> = {
  bloomfltr: { modules: ["bf"], product: "Valkey" },
  "MBbloom--": bloom,
  MBbloomCF: bloom,
  "CMSk-TYPE": bloom,
  "TopK-TYPE": bloom,
  "TDIS-TYPE": bloom,
  "ReJSON-RL": { modules: ["ReJSON", "json"] },
  "TSDB-TYPE": { modules: ["timeseries"] },
  vectorset: { modules: ["vectorset"], product: "Redis" },
};
