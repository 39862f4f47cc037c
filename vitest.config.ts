import { join } from "node:path";
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/**
 * The tests on the local stack first: they take longest and wait for most of that time, and others have the processors
 * meanwhile. Vitest itself knows what takes long only where it has run before, and goes by size elsewhere.
 */
class StackFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isOnStack = ({ moduleId }: TestSpecification) => moduleId.includes("/test/stack/");
    return [...sorted.filter(isOnStack), ...sorted.filter((file) => !isOnStack(file))];
  }
}

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // Every stack of the tests starts six processes of the same code, and commands come on top.
    env: { NODE_COMPILE_CACHE: join(import.meta.dirname, ".cache/compiled") },
    sequence: { sequencer: StackFirst },
    // Half of the time tests wait for leases, timers and emulators: two cores are enough for four workers.
    maxWorkers: 4,
  },
});
