import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // Half of the tests wait for leases, timers and emulators: on two cores a third worker takes a quarter off.
    maxWorkers: 3,
  },
});
