import {
  deleteBucket,
  deleteNotification,
  getBucket,
  getNotification,
  insertBucket,
  insertNotification,
  listBuckets,
  listNotifications,
  lockBucket,
  updateBucket,
} from "./buckets.ts";
import type { Call, Reply, Storage } from "./call.ts";
import { compose } from "./compose.ts";
import { invalid } from "./error.ts";
import { listObjects } from "./list.ts";
import { readMedia } from "./media.ts";
import { deleteObject, getObject, updateObject } from "./objects.ts";
import { cancelUpload, continueUpload } from "./resumable.ts";
import { rewrite } from "./rewrite.ts";
import { unknownPlace } from "./unsupported.ts";
import { startUpload } from "./upload.ts";

type Handler = (storage: Storage, call: Call) => Reply | Promise<Reply>;

/** Everything that this server does. A part that begins with a colon is a name. */
const routes: [method: string, path: string, handler: Handler][] = [
  ["GET", "storage/v1/b", listBuckets],
  ["POST", "storage/v1/b", insertBucket],
  ["GET", "storage/v1/b/:bucket", getBucket],
  ["PATCH", "storage/v1/b/:bucket", updateBucket],
  ["DELETE", "storage/v1/b/:bucket", deleteBucket],
  ["POST", "storage/v1/b/:bucket/lockRetentionPolicy", lockBucket],
  ["GET", "storage/v1/b/:bucket/notificationConfigs", listNotifications],
  ["POST", "storage/v1/b/:bucket/notificationConfigs", insertNotification],
  ["GET", "storage/v1/b/:bucket/notificationConfigs/:notification", getNotification],
  ["DELETE", "storage/v1/b/:bucket/notificationConfigs/:notification", deleteNotification],
  ["GET", "storage/v1/b/:bucket/o", listObjects],
  ["GET", "storage/v1/b/:bucket/o/:object", getObject],
  ["PATCH", "storage/v1/b/:bucket/o/:object", updateObject],
  ["DELETE", "storage/v1/b/:bucket/o/:object", deleteObject],
  ["POST", "storage/v1/b/:bucket/o/:object/compose", compose],
  ["POST", "storage/v1/b/:bucket/o/:object/rewriteTo/b/:toBucket/o/:toObject", rewrite],
  ["GET", "download/storage/v1/b/:bucket/o/:object", readMedia],
  ["POST", "upload/storage/v1/b/:bucket/o", startUpload],
  ["PUT", "upload/storage/v1/b/:bucket/o", continueUpload],
  ["DELETE", "upload/storage/v1/b/:bucket/o", cancelUpload],
];

/** Finds who answers a request, and the names in its path; 501 with the feature's name if nobody does. */
export function findRoute(method: string, rawPath: string): { handler: Handler; params: Record<string, string> } {
  const parts = rawPath
    .split("/")
    .filter((part, position, all) => part !== "" || (position > 0 && position < all.length - 1));
  const path = parts.map(decode);
  for (const [wanted, pattern, handler] of routes) {
    const params = wanted === method ? match(pattern.split("/"), path) : undefined;
    if (params !== undefined) return { handler, params };
  }
  throw unknownPlace(method, path);
}

function match(pattern: string[], path: string[]): Record<string, string> | undefined {
  if (pattern.length !== path.length) return undefined;
  const params: Record<string, string> = {};
  for (const [position, part] of pattern.entries()) {
    const value = path[position] ?? "";
    if (part.startsWith(":")) params[part.slice(1)] = value;
    else if (part !== value) return undefined;
  }
  return params;
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch (cause) {
    throw invalid(`The path is not well-formed UTF-8: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
}
