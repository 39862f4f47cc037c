import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startStack } from "../stack.ts";
import { startValkey } from "../valkey-server.ts";
import { say, summary } from "./show.ts";
import { play } from "./story.ts";

/** The main job of valkeep from end to end, on a local stack of its own; exits 1 if anything is not as it should be. */
const directory = await mkdtemp(join(tmpdir(), "valkeep-demo-"));
const closing: (() => Promise<unknown>)[] = [() => rm(directory, { recursive: true, force: true })];

async function close(): Promise<void> {
  for (const step of closing.reverse()) await step();
}

for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.once(signal, () => void close().finally(() => process.exit(1)));

try {
  say(
    "starting the local stack: Firestore and Pub/Sub emulators, Cloud Storage, Cloud Scheduler, Valkey, the functions",
  );
  const stack = await startStack({ directory, fresh: true });
  closing.push(() => stack.stop());
  Object.assign(process.env, stack.environment);
  const targets = await Promise.all([startValkey(), startValkey()]);
  closing.push(() => Promise.all(targets.map((target) => target.stop())));
  const { name, version } = stack.stack.valkey;
  say(`ready: ${name} ${version}, functions ${Object.keys(stack.stack.functions).join(", ")}`);
  const { createPorts } = await import("../../../shared/google.ts");
  const { readConfig } = await import("../../../shared/config.ts");
  const ports = createPorts(readConfig(process.env));
  const [second, third] = targets.map(({ endpoint }) => endpoint);
  const rows = await play(ports, {
    source: stack.stack.valkey.endpoint,
    second: second ?? "",
    third: third ?? "",
    exportBucket: stack.stack.storage.exportBucket,
  });
  console.log(`\n${summary(rows)}`);
  const isRight = rows.every((row) => row.isRight);
  console.log(isRight ? "\nEverything is as it should be." : "\nSomething is NOT as it should be; see the table.");
  process.exitCode = isRight ? 0 : 1;
} catch (error) {
  console.error(`the demo failed: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
} finally {
  await close();
}
process.exit();
