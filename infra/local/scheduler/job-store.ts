import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { StatusError } from "../../../shared/error.ts";
import type { Job } from "./job.ts";

export interface JobStore {
  get(name: string): Job | undefined;
  /** All jobs, by name. */
  all(): Job[];
  put(job: Job): void;
  delete(name: string): void;
}

/**
 * Jobs in `jobs.json` of a directory, which is replaced whole at every change. Synchronous, so that changes cannot
 * overtake one another; there are few jobs and few changes.
 */
export function openJobStore(directory: string): JobStore {
  mkdirSync(directory, { recursive: true });
  const file = join(directory, "jobs.json");
  const jobs = new Map(readJobs(file).map((job) => [job.name, job]));
  const all = () => [...jobs.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  const save = () => {
    writeFileSync(`${file}.new`, `${JSON.stringify(all(), undefined, 2)}\n`);
    renameSync(`${file}.new`, file);
  };
  return {
    get: (name) => jobs.get(name),
    all,
    put(job) {
      jobs.set(job.name, job);
      save();
    },
    delete(name) {
      jobs.delete(name);
      save();
    },
  };
}

function readJobs(file: string): Job[] {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Job[];
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw new StatusError("DATA_LOSS", `${file} is not a list of jobs: remove it to begin anew`, { cause: error });
  }
}
