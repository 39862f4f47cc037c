import {
  bucketResource,
  lockRetentionPolicy,
  newBucket,
  patchBucket,
  readBucketPatch,
  type StoredBucket,
} from "./bucket.ts";
import { type Call, param, type Reply, readJsonBody, type Storage } from "./call.ts";
import { ApiError, invalid } from "./error.ts";
import { newNotificationConfig, notificationResource } from "./notification.ts";
import { checkPreconditions, readPreconditions, wholeNumber } from "./precondition.ts";

/** `GET /b`: all buckets, or those with a prefix, in pages. */
export function listBuckets(storage: Storage, call: Call): Reply {
  checkProject(storage, call);
  const { catalogue, baseUrl } = storage;
  const pageSize = wholeNumber("maxResults", call.query.get("maxResults") ?? "1000");
  const after = call.query.get("pageToken") ?? "";
  const prefix = call.query.get("prefix") ?? "";
  const found = catalogue.buckets().filter(({ name }) => name.startsWith(prefix) && name > after);
  const page = found.slice(0, Math.max(1, pageSize));
  const nextPageToken = found.length > page.length ? page.at(-1)?.name : undefined;
  return {
    status: 200,
    json: { kind: "storage#buckets", nextPageToken, items: page.map((bucket) => bucketResource(bucket, baseUrl)) },
  };
}

/** `POST /b`: a new bucket. */
export async function insertBucket(storage: Storage, call: Call): Promise<Reply> {
  checkProject(storage, call);
  const body = await readJsonBody(call.body);
  const name = (body as { name?: unknown } | undefined)?.name;
  const bucket = newBucket(name, readBucketPatch(body), storage.now());
  storage.catalogue.addBucket(bucket);
  return show(storage, bucket);
}

/** `GET /b/B`. */
export function getBucket(storage: Storage, call: Call): Reply {
  return show(storage, find(storage, call));
}

/** `PATCH /b/B`. */
export async function updateBucket(storage: Storage, call: Call): Promise<Reply> {
  const patch = readBucketPatch(await readJsonBody(call.body));
  return change(storage, patchBucket(find(storage, call), patch, storage.now()));
}

/** `DELETE /b/B`: only an empty one. */
export function deleteBucket(storage: Storage, call: Call): Reply {
  storage.catalogue.removeBucket(find(storage, call).name);
  return { status: 204 };
}

/** `POST /b/B/lockRetentionPolicy`: needs the metageneration that was looked at. */
export function lockBucket(storage: Storage, call: Call): Reply {
  if (!call.query.has("ifMetagenerationMatch")) throw invalid("Required parameter: ifMetagenerationMatch");
  return change(storage, lockRetentionPolicy(find(storage, call), storage.now()));
}

/** `GET /b/B/notificationConfigs`. */
export function listNotifications(storage: Storage, call: Call): Reply {
  const { name, notificationConfigs } = find(storage, call);
  const items = notificationConfigs.map((config) => notificationResource(config, name, storage.baseUrl));
  return { status: 200, json: { kind: "storage#notifications", items } };
}

/** `POST /b/B/notificationConfigs`. */
export async function insertNotification(storage: Storage, call: Call): Promise<Reply> {
  const body = await readJsonBody(call.body);
  const bucket = find(storage, call);
  const config = newNotificationConfig(body, bucket);
  storage.catalogue.replaceBucket({ ...bucket, notificationConfigs: [...bucket.notificationConfigs, config] });
  return { status: 200, json: notificationResource(config, bucket.name, storage.baseUrl) };
}

/** `GET /b/B/notificationConfigs/N`. */
export function getNotification(storage: Storage, call: Call): Reply {
  const { name, notificationConfigs } = find(storage, call);
  const config = notificationConfigs.find(({ id }) => id === param(call, "notification"));
  if (config === undefined) throw noSuchNotification(call);
  return { status: 200, json: notificationResource(config, name, storage.baseUrl) };
}

/** `DELETE /b/B/notificationConfigs/N`: messages on their way are still sent. */
export function deleteNotification(storage: Storage, call: Call): Reply {
  const bucket = find(storage, call);
  const kept = bucket.notificationConfigs.filter(({ id }) => id !== param(call, "notification"));
  if (kept.length === bucket.notificationConfigs.length) throw noSuchNotification(call);
  storage.catalogue.replaceBucket({ ...bucket, notificationConfigs: kept });
  return { status: 204 };
}

function checkProject({ projectId }: Storage, call: Call): void {
  const project = call.query.get("project");
  if (project !== null && project !== projectId) {
    throw invalid(`Unknown project id: ${project}; this server holds the buckets of ${projectId}`);
  }
}

function find({ catalogue }: Storage, call: Call): StoredBucket {
  const bucket = catalogue.bucket(param(call, "bucket"));
  checkPreconditions(readPreconditions(call.query), { generation: 0, metageneration: bucket.metageneration });
  return bucket;
}

function change(storage: Storage, bucket: StoredBucket): Reply {
  storage.catalogue.replaceBucket(bucket);
  return show(storage, bucket);
}

function show({ baseUrl }: Storage, bucket: StoredBucket): Reply {
  return { status: 200, json: bucketResource(bucket, baseUrl) };
}

function noSuchNotification(call: Call): ApiError {
  return new ApiError(
    404,
    "notFound",
    `Notification ${param(call, "notification")} not found for bucket ${param(call, "bucket")}`,
  );
}
