import type { Backup } from "./backup.ts";
import { type Severity, type Symptom, severities } from "./finding.ts";
import { parseBackupName } from "./name.ts";

/** What is left of less than so much is told. */
const shrunkenShare = 1 / 2;

/** Where there was less before, a half comes and goes every day. */
const leastKeys = 1_000;
const leastBytes = 1_048_576;

/** So many shards are named; the others are counted. */
const mostNamed = 3;

/** What a backup, or one shard of it, holds. */
interface Holding {
  keys: number;
  sizeBytes: number;
}

/** What is missing of a backup, or of one shard of it. */
interface Loss {
  severity: Severity;
  text: string;
}

/**
 * The symptom of a backup that holds far less than one of the earlier ones did: a server that was started again without its data
 * is backed up as well as any other. A cluster is compared shard by shard too, as far as the shards have the same slots: one that
 * is empty hardly shows in the whole. Against the worst of the earlier ones; of equals the first.
 */
export function shrunken(newest: Backup, earlier: readonly Backup[]): Symptom[] {
  const found = earlier.flatMap((before) => symptomAgainst(before, newest));
  const [worst] = found.sort((a, b) => severities.indexOf(b.severity) - severities.indexOf(a.severity));
  return worst === undefined ? [] : [worst];
}

function symptomAgainst(before: Backup, newest: Backup): Symptom[] {
  const whole = lossOf(holdingOf(newest), holdingOf(before), 1);
  const shards = lossesOfShards(newest, before);
  const losses = [...whole, ...shards];
  const severity = losses.some((loss) => loss.severity === "CRITICAL") ? "CRITICAL" : "WARNING";
  const named = [...whole, ...shards.slice(0, mostNamed)].map(({ text }) => text);
  const others = shards.length > mostNamed ? [`${shards.length - mostNamed} more shards`] : [];
  if (losses.length === 0) return [];
  const { instanceId, backupId } = parseBackupName(before.name);
  return [
    {
      kind: "backup-shrunken",
      severity,
      message: `${newest.name} against ${before.name}: ${[...named, ...others].join("; ")}`,
      advice: `Unless that was meant, see whether the server has lost its data, and have the earlier one kept: valkeep backups hold ${instanceId}/${backupId} --reason=TEXT.`,
    },
  ];
}

const holdingOf = ({ backupFiles, totalSizeBytes }: Backup): Holding => ({
  keys: backupFiles.reduce((sum, { keys }) => sum + keys, 0),
  sizeBytes: totalSizeBytes,
});

/** Shards that have other slots than before have other keys. */
function lossesOfShards(newest: Backup, before: Backup): Loss[] {
  const bySlots = new Map(before.backupFiles.map((file) => [file.slots, file]));
  return newest.backupFiles.flatMap((file) => {
    const former = file.slots === undefined ? undefined : bySlots.get(file.slots);
    const losses = former === undefined ? [] : lossOf(file, former, leastKeys);
    return losses.map(({ severity, text }) => ({ severity, text: `slots ${file.slots}: ${text}` }));
  });
}

/** `leastLost`: from so many keys on it is CRITICAL that there is none any more. */
function lossOf(now: Holding, before: Holding, leastLost: number): Loss[] {
  const keys = `${now.keys} keys instead of ${before.keys}`;
  if (now.keys === 0 && before.keys >= leastLost) return [{ severity: "CRITICAL", text: keys }];
  if (before.keys >= leastKeys && now.keys < shrunkenShare * before.keys) return [{ severity: "WARNING", text: keys }];
  if (before.sizeBytes < leastBytes || now.sizeBytes >= shrunkenShare * before.sizeBytes) return [];
  return [{ severity: "WARNING", text: `${now.sizeBytes} bytes instead of ${before.sizeBytes}` }];
}
