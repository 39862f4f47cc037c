import { link, readFile, rm, writeFile } from "node:fs/promises";
import { StatusError } from "../../shared/error.ts";

export interface Lock {
  release(): Promise<void>;
}

/**
 * Takes `file` for this process until it is released or the process is gone, by whatever end. Throws
 * FAILED_PRECONDITION, with the holder's pid, while it is taken.
 */
export async function takeLock(file: string, what: string): Promise<Lock> {
  const mine = `${file}.${process.pid}`;
  await writeFile(mine, `${process.pid} ${(await birthOf(process.pid)) ?? ""}\n`);
  try {
    for (let attempt = 1; ; attempt++) {
      // A link appears with its content, or not at all.
      const taken = await link(mine, file).then(
        () => true,
        (error: NodeJS.ErrnoException) => {
          if (error.code === "EEXIST") return false;
          throw error;
        },
      );
      if (taken) break;
      const [pid, birth] = (await readFile(file, "utf8").catch(() => "")).trim().split(" ");
      if (attempt === 3 || (pid && (await isAlive(Number(pid), birth)))) {
        throw new StatusError("FAILED_PRECONDITION", `${what} is running already (pid ${pid}): stop that one first`);
      }
      await rm(file, { force: true });
    }
  } finally {
    await rm(mine, { force: true });
  }
  return { release: () => rm(file, { force: true }) };
}

/** A pid may have been given to another process since: where /proc tells when it was born, that must agree. */
async function isAlive(pid: number, birth: string | undefined): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
  }
  return birth === undefined || birth === "" || birth === (await birthOf(pid));
}

/** Ticks from the machine's boot to the process's start: field 22 of /proc/PID/stat, proc(5); Linux only. */
async function birthOf(pid: number): Promise<string | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
  return text?.slice(text.lastIndexOf(")") + 2).split(" ")[19];
}
