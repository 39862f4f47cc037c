import { cpus, loadavg, release, totalmem, type } from "node:os";
import type { ValkeyPrograms } from "../../infra/local/valkey-programs.ts";

/** What the numbers were measured on. */
export function describeMachine(programs?: ValkeyPrograms): string[] {
  const cores = cpus();
  const [load = 0] = loadavg();
  return [
    `${cores.length} cores of ${cores[0]?.model.trim() ?? "an unknown processor"}, ${(totalmem() / 2 ** 30).toFixed(0)} GiB memory`,
    `${type()} ${release()}, Node ${process.versions.node}${programs === undefined ? "" : `, ${programs.name} ${programs.version}`}`,
    ...(load > 0.5 ? [`NOT QUIET: the load was ${load.toFixed(2)} before the start, the numbers will be worse`] : []),
  ];
}
