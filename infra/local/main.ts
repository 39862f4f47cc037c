import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { asStatusError } from "../../shared/error.ts";
import { type Stack, startStack } from "./stack.ts";

const usage = `usage: npm run local -- [--fresh] [--isolate] [--directory DIR] [--source FILE]

Starts valkeep's local stack on 127.0.0.1 and runs it until Ctrl-C.
  --fresh          begin anew: forget what an earlier run left in the directory
  --isolate        a process for each function, instead of one for all light ones
  --directory DIR  where state, logs, secrets and stack.json are kept; .local where absent
  --source FILE    module that registers the functions; functions/index.ts where absent`;

const options = readArguments();
let stack: Stack | undefined;
let isStopping = false;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => void stop(0));
// A Ctrl-C also ends the `tee` that we write to, and a closed terminal takes no more lines: neither may keep us from saving.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
if (process.env.npm_lifecycle_event !== undefined) stopWithParent();

try {
  const startTime = performance.now();
  stack = await startStack({ ...options, usualPorts: true, report: (line) => console.log(line) });
  if (options.directory !== undefined)
    console.log(`the command finds it by VALKEEP_STACK=${resolve(options.directory, "stack.json")}`);
  console.log(`started in ${((performance.now() - startTime) / 1000).toFixed(1)} s; Ctrl-C stops it`);
  console.log("ready");
  const reason = await stack.failed;
  if (!isStopping) {
    console.error(reason);
    await stop(1);
  }
} catch (error) {
  console.error(asStatusError(error).message);
  process.exit(1);
}

/** Before the stack is ready, and when asked again, it ends at once: nothing that we started outlives us. */
async function stop(code: number): Promise<void> {
  if (stack === undefined || isStopping) process.exit(1);
  isStopping = true;
  console.log("stopping");
  try {
    await stack.stop();
    process.exit(code);
  } catch (error) {
    console.error(asStatusError(error).message);
    process.exit(1);
  }
}

/** npm passes a SIGTERM on to its shell only, and that dies without a word to us. */
function stopWithParent(): void {
  const parent = process.ppid;
  const watch = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watch);
    void stop(0);
  }, 250);
  watch.unref();
}

function readArguments(): { fresh: boolean; isolate: boolean; directory?: string; source?: string } {
  try {
    const { values } = parseArgs({
      options: {
        fresh: { type: "boolean", default: false },
        isolate: { type: "boolean", default: false },
        directory: { type: "string" },
        source: { type: "string" },
        help: { type: "boolean", default: false },
      },
    });
    const { help, ...rest } = values;
    if (!help) return rest;
    console.log(usage);
    process.exit(0);
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n${usage}`);
    process.exit(2);
  }
}
