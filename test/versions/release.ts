import type { ValkeyRelease } from "../../infra/local/valkey-programs.ts";

/** A release that backups are taken of and restored into, as `findValkey` knows it. */
export type Release = ValkeyRelease;

/** In the order of the table: by what they read, the oldest first. */
export const releases: readonly Release[] = ["redis-7.0", "8.0", "8.1", "9.1", "redis-8.0"];

/** Those that every run has to try. */
export const requiredReleases: readonly Release[] = ["8.0", "9.1"];

/** As people call it: `Valkey 8.0`, `Redis 7.0`. */
export const nameOf = (release: Release): string =>
  release.startsWith("redis-") ? `Redis ${release.slice("redis-".length)}` : `Valkey ${release}`;
