import { StatusError } from "../error.ts";
import { oneOf } from "./choice.ts";
import {
  assertMaintenancePolicy,
  type BackupPolicy,
  defaultWindows,
  type MaintenancePolicy,
  type WeeklyMaintenanceWindow,
  weekdays,
} from "./maintenance.ts";

/** What a person says of maintenance, as text. */
export interface MaintenanceFlags {
  /** `fri:22:00-mon:06:00`, several with commas; `default`, `none`. */
  maintenanceWindow?: string | undefined;
  /** IANA. */
  maintenanceTimeZone?: string | undefined;
  /** `avoid`, `avoid-before` or `ignore`. */
  maintenanceBackupPolicy?: string | undefined;
}

const policies = { AVOID: "AVOID", AVOID_BEFORE: "AVOID_BEFORE", IGNORE: "IGNORE" } as const satisfies Record<
  BackupPolicy,
  BackupPolicy
>;

/** The policy with what the flags say changed; `none` takes it away. INVALID_ARGUMENT says what is wrong. */
export function changedMaintenance(
  before: MaintenancePolicy | undefined,
  { maintenanceWindow, maintenanceTimeZone, maintenanceBackupPolicy }: MaintenanceFlags,
): MaintenancePolicy | undefined {
  if ((maintenanceWindow ?? maintenanceTimeZone ?? maintenanceBackupPolicy) === undefined) return before;
  if (maintenanceWindow === "none") return undefined;
  const windows = maintenanceWindow === undefined ? before?.weeklyMaintenanceWindow : windowsOf(maintenanceWindow);
  if (windows === undefined)
    throw invalid("there is no maintenance window: say when with fri:22:00-mon:06:00 or default");
  const policy: MaintenancePolicy = {
    ...before,
    weeklyMaintenanceWindow: windows,
    timeZone: maintenanceTimeZone ?? before?.timeZone ?? "Etc/UTC",
    ...(maintenanceBackupPolicy !== undefined && {
      backupPolicy: oneOf("backup policy", maintenanceBackupPolicy, policies),
    }),
  };
  assertMaintenancePolicy(policy);
  return policy;
}

const windowsOf = (text: string): WeeklyMaintenanceWindow[] =>
  text === "default" ? [...defaultWindows] : text.split(",").map(windowOf);

/** `sun:23:00-mon:01:30`, as ElastiCache writes a window; what ends before it begins ends in the next week. */
function windowOf(text: string): WeeklyMaintenanceWindow {
  const found = /^([a-z]{3}):([01]\d|2[0-3]):([0-5]\d)-([a-z]{3}):([01]\d|2[0-3]):([0-5]\d)$/i.exec(text);
  const [startDay = -1, endDay = -1] = [found?.[1], found?.[4]].map((day) =>
    weekdays.findIndex((name) => name.slice(0, 3) === day?.toUpperCase()),
  );
  const day = weekdays[startDay];
  if (found === null || day === undefined || endDay < 0)
    throw invalid(
      `malformed maintenance window ${JSON.stringify(text.slice(0, 40))}: expected DAY:HH:MM-DAY:HH:MM, such as sun:23:00-mon:01:30`,
    );
  const [hours = 0, minutes = 0, endHours = 0, endMinutes = 0] = [found[2], found[3], found[5], found[6]].map(Number);
  const week = 7 * 1440;
  const length = ((endDay - startDay) * 1440 + (endHours - hours) * 60 + endMinutes - minutes + week) % week;
  return { day, startTime: { hours, minutes }, durationSeconds: length * 60 };
}

const invalid = (message: string): StatusError => new StatusError("INVALID_ARGUMENT", message);
