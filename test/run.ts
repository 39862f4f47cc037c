import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rehearse } from "../infra/local/emulators.ts";

/** Everything that must hold: types, lint and format, then every test. The last line counts all of it. */
const directory = mkdtempSync(join(tmpdir(), "valkeep-test-"));
const report = join(directory, "report.json");
const counts = { passed: 0, failed: 0, skipped: 0 };

function run(command: string, args: string[]): boolean {
  console.log(`\n> ${command} ${args.join(" ")}`);
  return spawnSync(command, args, { stdio: ["ignore", "inherit", "inherit"] }).status === 0;
}

for (const [command = "", ...args] of [
  ["tsc", "--noEmit"],
  ["tsc", "--project", "tsconfig.build.json", "--noEmit"],
  ["biome", "ci"],
])
  counts[run(command, args) ? "passed" : "failed"]++;

// The tests start the emulators some eighty times.
await rehearse().catch((error: Error) =>
  console.log(`the emulators start more slowly than they could: ${error.message}`),
);
const isGreen = run("vitest", [
  "run",
  "--reporter=default",
  "--reporter=json",
  `--outputFile.json=${report}`,
  ...process.argv.slice(2),
]);
try {
  const { numPassedTests, numFailedTests, numPendingTests, numTodoTests } = JSON.parse(readFileSync(report, "utf8"));
  counts.passed += numPassedTests;
  counts.failed += numFailedTests;
  counts.skipped += numPendingTests + numTodoTests;
} catch (error) {
  console.error(`no report of the tests: ${error}`);
}
// A test file that cannot even be loaded counts no test: it must not look like success.
if (!isGreen && counts.failed === 0) counts.failed++;
rmSync(directory, { recursive: true });
console.log(
  `\n${counts.passed} passed, ${counts.failed} failed${counts.skipped > 0 ? `, ${counts.skipped} skipped` : ""}`,
);
process.exit(counts.failed === 0 ? 0 : 1);
