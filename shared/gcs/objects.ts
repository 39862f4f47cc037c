import { type Bucket, type BucketMetadata, Storage } from "@google-cloud/storage";
import { StatusError } from "../error.ts";
import type { BucketInfo, ObjectInfo, Objects } from "../pipeline/ports.ts";
import { compose } from "./compose.ts";
import { within } from "./deadline.ts";
import { download, type Origin } from "./download.ts";
import { isBucketMissing, refusalOf } from "./error.ts";
import { createConnections } from "./http.ts";
import { infoOf, parseResource } from "./info.ts";
import { assertObjectName } from "./name.ts";
import { defaultLimits, type Limits } from "./patience.ts";
import { rewrite } from "./rewrite.ts";
import { upload } from "./upload.ts";

/** Where the objects are. */
export interface ObjectsOptions {
  projectId: string;
  /** Another endpoint than Google's, such as http://127.0.0.1:9199. It is asked without credentials, as the library does. */
  apiEndpoint?: string;
  /** How long failures are endured; by default so that an upload gives up before a Valkey server would. */
  limits?: Limits;
}

const googleEndpoint = "https://storage.googleapis.com";

/** Objects in Cloud Storage: names and metadata through the library, the bytes by our own HTTP client. */
export function createObjects({ projectId, apiEndpoint, limits = defaultLimits }: ObjectsOptions): Objects {
  const storage = new Storage({
    projectId,
    ...(apiEndpoint === undefined ? {} : { apiEndpoint }),
    timeout: limits.stallMs,
    // In seconds.
    retryOptions: { maxRetries: 3, maxRetryDelay: 4, totalTimeout: limits.giveUpMs / 1000 },
  });
  const origin: Origin = {
    baseUrl: apiEndpoint ?? googleEndpoint,
    connections: createConnections(),
    limits,
    async authorize(url) {
      if (apiEndpoint !== undefined) return {};
      const headers = storage.authClient.getRequestHeaders(url);
      return Object.fromEntries(await within(limits.giveUpMs, "signing in to Cloud Storage", headers));
    },
  };

  const asked = <T>(what: string, call: Promise<T>, signal?: AbortSignal): Promise<T> =>
    within(limits.giveUpMs, what, call, signal);

  async function stat(bucket: string, object: string): Promise<ObjectInfo | undefined> {
    assertObjectName(object);
    const what = `looking for gs://${bucket}/${object}`;
    const found = storage.bucket(bucket).file(object).getMetadata();
    return asked(what, found.then(([resource]) => infoOf(what, resource)).catch(unlessGone));
  }

  const objects: Objects = {
    describe: (bucket) => asked(`describing bucket ${bucket}`, describe(storage.bucket(bucket))),
    stat,
    async create(bucket, object, source, metadata, signal) {
      const what = `storing gs://${bucket}/${object}`;
      signal?.throwIfAborted();
      assertObjectName(object);
      const uri = await asked(what, begin(storage.bucket(bucket), object, metadata), signal);
      const session = { what, uri, connections: origin.connections, limits };
      const { sizeBytes, crc32c, resource } = await upload(session, source, signal);
      const parsed = parseResource(resource);
      const info = parsed === undefined ? await stat(bucket, object) : infoOf(what, parsed);
      if (info?.crc32c === crc32c && info.sizeBytes === sizeBytes) return info;
      if (info !== undefined && parsed !== undefined) await objects.remove(info);
      const found = info === undefined ? "no object" : `${info.sizeBytes} bytes of CRC32C ${info.crc32c}`;
      throw new StatusError(
        "UNAVAILABLE",
        `${what}: sent ${sizeBytes} bytes of CRC32C ${crc32c}, found ${found}: upload it again`,
      );
    },
    read: (of, range, signal) => download(origin, of, range, signal),
    async copy(from, to, metadata, signal, course) {
      const what = `copying to gs://${to.bucket}/${to.object}`;
      const source = await stat(from.bucket, from.object);
      const copied = infoOf(what, await rewrite(origin, from, to, metadata, signal, course));
      if (source?.generation !== from.generation) return copied;
      if (copied.crc32c === source.crc32c && copied.sizeBytes === source.sizeBytes) return copied;
      await objects.remove(copied);
      throw new StatusError("UNAVAILABLE", `${what}: the copy differs from its source, and was removed: copy it again`);
    },
    async compose(sources, to, metadata, signal) {
      const what = `composing gs://${to.bucket}/${to.object}`;
      return infoOf(what, await compose(origin, sources, to, metadata, signal));
    },
    async remove({ bucket, object, generation }) {
      assertObjectName(object);
      const removed = storage.bucket(bucket).file(object, { generation }).delete({ ifGenerationMatch: generation });
      await asked(`removing gs://${bucket}/${object}#${generation}`, removed.catch(unlessGone));
    },
    async setHold({ bucket, object, generation }, isHeld) {
      assertObjectName(object);
      const file = storage.bucket(bucket).file(object, { generation });
      const what = `${isHeld ? "holding" : "releasing"} gs://${bucket}/${object}#${generation}`;
      await asked(what, file.setMetadata({ temporaryHold: isHeld }).catch(lostIfGone(what)));
    },
    list: (bucket, prefix, options) => list(storage.bucket(bucket), { prefix, ...options }, asked),
  };
  return objects;
}

/** Nothing where the object, or that generation of it, is not there; what else failed goes on. */
function unlessGone(error: unknown): undefined {
  const refusal = refusalOf(error);
  if (refusal?.status === 412 || (refusal?.status === 404 && !isBucketMissing(refusal))) return undefined;
  throw error;
}

/** An object that should be there and is not is lost; what else failed goes on. */
function lostIfGone(what: string): (error: unknown) => never {
  return (error) => {
    const refusal = refusalOf(error);
    if (refusal?.status !== 404 || isBucketMissing(refusal)) throw error;
    throw new StatusError("DATA_LOSS", `${what}: it is gone`, { cause: error });
  };
}

async function describe(bucket: Bucket): Promise<BucketInfo> {
  try {
    const [{ location, locationType, ...settings }] = await bucket.getMetadata();
    if (location !== undefined && isLocationType(locationType))
      return { location: location.toLowerCase(), locationType, protection: protectionOf(settings) };
    throw new StatusError("UNKNOWN", `bucket ${bucket.name}: its location is ${location} of type ${locationType}`);
  } catch (error) {
    if (refusalOf(error)?.status !== 404) throw error;
    throw new StatusError("NOT_FOUND", `bucket ${bucket.name} does not exist: create it`, { cause: error });
  }
}

/** Cloud Storage leaves out what is off. https://cloud.google.com/storage/docs/json_api/v1/buckets#resource */
function protectionOf(settings: BucketMetadata): BucketInfo["protection"] {
  const { iamConfiguration, versioning, softDeletePolicy, retentionPolicy } = settings;
  return {
    publicAccessPrevention: iamConfiguration?.publicAccessPrevention === "enforced" ? "enforced" : "inherited",
    uniformBucketLevelAccess: iamConfiguration?.uniformBucketLevelAccess?.enabled === true,
    versioning: versioning?.enabled === true,
    softDeleteSeconds: Number(softDeletePolicy?.retentionDurationSeconds ?? 0),
    retentionSeconds: Number(retentionPolicy?.retentionPeriod ?? 0),
  };
}

const isLocationType = (text: unknown): text is BucketInfo["locationType"] =>
  text === "region" || text === "dual-region" || text === "multi-region";

/** Starts a resumable upload. With the precondition the library may repeat the request, and leaves its retries alone. */
async function begin(bucket: Bucket, object: string, metadata: Record<string, string>): Promise<string> {
  const [uri] = await bucket.file(object).createResumableUpload({
    preconditionOpts: { ifGenerationMatch: 0 },
    metadata: { metadata, contentType: "application/octet-stream" },
  });
  return uri;
}

async function* list(
  bucket: Bucket,
  wanted: { prefix: string; startOffset?: string },
  asked: <T>(what: string, call: Promise<T>) => Promise<T>,
): AsyncGenerator<ObjectInfo> {
  const what = `listing gs://${bucket.name}/${wanted.prefix}`;
  for (let pageToken: string | undefined; ; ) {
    const page = { ...wanted, autoPaginate: false, maxResults: 1000, ...(pageToken !== undefined && { pageToken }) };
    const [files, next] = await asked(what, bucket.getFiles(page));
    for (const file of files) yield infoOf(what, file.metadata);
    pageToken = (next as { pageToken?: string } | null | undefined)?.pageToken;
    if (pageToken === undefined) return;
  }
}
