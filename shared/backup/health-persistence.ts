import type { Check, Inspection, Verdict } from "./health.ts";
import { fault, numberOf, ok, unread } from "./health-verdict.ts";
import { parseSaveRules, type SaveRule, worstLossSeconds } from "./save-rule.ts";

/** A loss window that is longer deserves a word, in seconds: that of the rules that Valkey comes with (valkey.conf, `save`). */
const usualLossSeconds = 3600;

/** How late a save by the rules may be, in seconds: the server looks every 100 ms and waits 5 s after a failure (rdb.c). */
const patienceSeconds = 120;

/** Whether the server keeps on its own disk what it holds, and would notice if it did not. */
export const persistenceChecks = {
  "bgsave-failed": lastSave,
  "stop-writes-off": stopWrites,
  "loss-window": lossWindow,
  "changes-unsaved": unsavedChanges,
  "aof-write-failed": aofWrite,
  "aof-rewrite-failed": aofRewrite,
  "rdbchecksum-off": rdbChecksum,
  "rdbcompression-off": rdbCompression,
} as const satisfies Record<string, Check>;

function lastSave({ info, config }: Inspection): Verdict {
  const status = info.rdb_last_bgsave_status;
  if (status === undefined) return unread("rdb_last_bgsave_status");
  if (status === "ok") return ok("the last BGSAVE went well");
  const refuses = config["stop-writes-on-bgsave-error"] === "yes" ? ", and the server may refuse writes (MISCONF)" : "";
  return fault(
    "CRITICAL",
    `the last BGSAVE failed${refuses}`,
    "Look into the server's log: disk space, rights on its dir, or memory for the fork; then BGSAVE.",
  );
}

function stopWrites({ config }: Inspection): Verdict {
  const value = config["stop-writes-on-bgsave-error"];
  if (value === undefined) return unread("stop-writes-on-bgsave-error");
  if (value === "yes") return ok("writes stop when saving fails");
  return fault(
    "INFO",
    "stop-writes-on-bgsave-error is no: clients go on writing when nothing can be saved",
    "Set it to yes, unless this monitoring reaches somebody at any hour.",
  );
}

function lossWindow(node: Inspection): Verdict {
  if (isAofOn(node)) return aofLoss(node);
  const rules = rulesOf(node);
  if (rules === undefined) return unread("save");
  if (rules.length === 0) return nothingKept(node);
  const seconds = worstLossSeconds(rules);
  if (seconds === Number.POSITIVE_INFINITY)
    return fault(
      "WARNING",
      `no save rule is for a single change: fewer than ${Math.min(...rules.map((rule) => rule.changes))} changes are never saved`,
      "Add a rule for one change, such as 3600 1.",
    );
  if (seconds <= usualLossSeconds) return ok(`a crash loses at most about ${seconds} s of changes, by the save rules`);
  return fault(
    "WARNING",
    `a crash loses up to ${seconds} s of changes, by the save rules`,
    "Save more often, or turn appendonly on.",
  );
}

function nothingKept(node: Inspection): Verdict {
  const [uptime, changes] = ["uptime_in_seconds", "rdb_changes_since_last_save"].map((field) => numberOf(node, field));
  return fault(
    "WARNING",
    `save is empty and the AOF is off: a crash loses everything since the start ${uptime ?? "?"} s ago or a BGSAVE by hand; ${changes ?? "?"} changes now`,
    'Turn appendonly on, or give save rules such as "3600 1 300 100 60 10000".',
  );
}

function aofLoss({ config }: Inspection): Verdict {
  const policy = config.appendfsync;
  if (policy === undefined) return unread("appendfsync");
  if (policy === "always") return ok("a crash loses nothing: appendfsync always");
  if (policy === "everysec") return ok("a crash loses at most about 2 s of changes: appendfsync everysec");
  return fault(
    "INFO",
    "appendfsync is no: a crash of the machine loses what the system has not written yet, about 30 s with Linux",
    "Set appendfsync to everysec.",
  );
}

function unsavedChanges(node: Inspection): Verdict {
  const changes = numberOf(node, "rdb_changes_since_last_save");
  const saved = numberOf(node, "rdb_last_save_time");
  const now = numberOf(node, "server_time_usec");
  if (changes === undefined || saved === undefined) return unread("rdb_changes_since_last_save");
  const rules = rulesOf(node);
  if (rules === undefined || now === undefined) return unread(rules === undefined ? "save" : "server_time_usec");
  const age = Math.round(now / 1e6 - saved);
  const seconds = worstLossSeconds(rules);
  const isDue = changes > 0 && seconds < Number.POSITIVE_INFINITY && age > seconds + patienceSeconds;
  if (!isDue || node.info.rdb_bgsave_in_progress === "1") return ok(`${changes} changes since the last save`);
  return fault(
    "WARNING",
    `${changes} changes were not saved for ${age} s, though the save rules promise ${seconds} s`,
    "Look into the server's log why it does not save; then BGSAVE.",
  );
}

function aofWrite({ info }: Inspection): Verdict {
  if (info.aof_enabled === undefined) return unread("aof_enabled");
  if (info.aof_enabled !== "1") return ok("the AOF is off");
  if (info.aof_last_write_status !== "err") return ok("the AOF is written");
  return fault(
    "CRITICAL",
    "the last write to the AOF failed: the server takes no writes until one succeeds",
    "Make room on its disk, see its log.",
  );
}

function aofRewrite({ info }: Inspection): Verdict {
  if (info.aof_enabled === undefined) return unread("aof_enabled");
  if (info.aof_enabled !== "1") return ok("the AOF is off");
  if (info.aof_last_bgrewrite_status !== "err") return ok("the last rewrite of the AOF went well");
  return fault(
    "WARNING",
    "the last rewrite of the AOF failed: the file grows, and a start takes longer and longer",
    "Look into the server's log: disk space, or memory for the fork; then BGREWRITEAOF.",
  );
}

function rdbChecksum({ config }: Inspection): Verdict {
  const value = config.rdbchecksum;
  if (value === undefined) return unread("rdbchecksum");
  if (value === "yes") return ok("snapshots carry a checksum");
  return fault(
    "WARNING",
    "rdbchecksum is no: snapshots carry no CRC64, so damage on the way here cannot be told from data",
    "Start the server with rdbchecksum yes; it cannot be changed while it runs.",
  );
}

function rdbCompression({ config }: Inspection): Verdict {
  const value = config.rdbcompression;
  if (value === undefined) return unread("rdbcompression");
  if (value === "yes") return ok("snapshots are compressed");
  return fault("INFO", "rdbcompression is no: backups are larger than they need be", "CONFIG SET rdbcompression yes.");
}

const isAofOn = ({ info }: Inspection): boolean => info.aof_enabled === "1";

function rulesOf({ config }: Inspection): SaveRule[] | undefined {
  return config.save === undefined ? undefined : parseSaveRules(config.save);
}
