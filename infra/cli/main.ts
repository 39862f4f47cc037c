import { enableCompileCache } from "node:module";
import { constants } from "node:os";
import { join } from "node:path";

// Types are stripped and code compiled when it runs first, not at every start.
enableCompileCache(join(import.meta.dirname, "../../.cache/compiled"));
const { run } = await import("./run.ts");
const { strayFailure } = await import("./stray.ts");

const interruption = new AbortController();
for (const name of ["SIGINT", "SIGTERM"] as const)
  process.on(name, () => {
    // Whatever listens says its last word; what does not listen is not waited for.
    if (interruption.signal.aborted) process.exit(128 + constants.signals[name]);
    interruption.abort();
    setTimeout(() => process.exit(128 + constants.signals[name]), 500).unref();
  });

/** Whoever reads us (`head`) has seen enough; how the command ends is told by its exit code all the same. */
for (const stream of [process.stdout, process.stderr])
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") process.exit(1);
  });

const exitCode = await run(process.argv.slice(2), {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  isTerminal: process.stderr.isTTY === true,
  ...(process.stdout.isTTY && { columns: process.stdout.columns }),
  environment: process.env,
  signal: interruption.signal,
  stray: strayFailure(),
});

// Google's clients keep connections open: end as soon as everything is written.
await new Promise<void>((resolve) => process.stdout.write("", () => resolve()));
await new Promise<void>((resolve) => process.stderr.write("", () => resolve()));
process.exit(exitCode);
