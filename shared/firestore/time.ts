import { Timestamp } from "@google-cloud/firestore";
import { StatusError } from "../error.ts";

/** Firestore's time as RFC 3339 with all nine digits: a guard that lost its nanoseconds never holds. Sorts as text. */
export function timeOf(timestamp: Timestamp): string {
  const whole = new Date(timestamp.seconds * 1000).toISOString().slice(0, 19);
  return `${whole}.${String(timestamp.nanoseconds).padStart(9, "0")}Z`;
}

/** The way back. */
export function timestampOf(time: string): Timestamp {
  const found = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{9})Z$/.exec(time);
  const seconds = Date.parse(`${found?.[1]}Z`) / 1000;
  if (found === null || Number.isNaN(seconds))
    throw new StatusError("INVALID_ARGUMENT", `malformed updateTime ${JSON.stringify(time.slice(0, 40))}`);
  return new Timestamp(seconds, Number(found[2]));
}
