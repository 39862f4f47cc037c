import { type Code, StatusError } from "../error.ts";

/** What an answer of Cloud Storage says, wherever it was found: in an HTTP response, in the library's errors. */
export interface Refusal {
  status: number;
  /** `errors[0].reason` of the JSON body. */
  reason: string;
  message: string;
}

/** An HTTP error status as our error. https://cloud.google.com/storage/docs/json_api/v1/status-codes */
export function refused(what: string, refusal: Refusal, cause?: unknown): StatusError {
  const said = `Cloud Storage said ${refusal.status} ${refusal.reason}: ${refusal.message.slice(0, 500)}`;
  return new StatusError(codeOf(refusal), `${what}: ${said}`, { cause });
}

function codeOf(refusal: Refusal): Code {
  if (isTransient(refusal)) return "UNAVAILABLE";
  const { status, reason, message } = refusal;
  switch (status) {
    case 400:
      return damagedOnTheWay.test(message) ? "UNAVAILABLE" : "INVALID_ARGUMENT";
    case 401:
      return "UNAUTHENTICATED";
    case 403:
      return keptReasons.has(reason) || keptMessage.test(message) ? "FAILED_PRECONDITION" : "PERMISSION_DENIED";
    case 404:
    case 410:
      return "UNAVAILABLE";
    case 412:
      return "ABORTED";
    case 501:
      return "UNIMPLEMENTED";
    default:
      return "UNKNOWN";
  }
}

/** What was sent has another checksum than was announced. */
const damagedOnTheWay = /(crc32c|md5).*(match|calculated)/i;

/** A hold or a retention policy (https://cloud.google.com/storage/docs/json_api/v1/status-codes, 403). */
const keptReasons = new Set(["objectUnderActiveHold", "retentionPolicyNotMet"]);
const keptMessage = /is under active \S+ hold|is subject to .*retention/i;

/** Worth asking again: https://cloud.google.com/storage/docs/retry-strategy */
export const isTransient = ({ status, reason }: Refusal): boolean =>
  status === 408 || status === 429 || (status >= 500 && status !== 501) || /rateLimitExceeded$/i.test(reason);

/** Whether a 404 is about the bucket rather than the object in it, whatever their names are. */
export const isBucketMissing = ({ status, message }: Refusal): boolean =>
  status === 404 && /bucket does not exist/i.test(message) && !/^No such object/i.test(message);

/** Cloud Storage's JSON error body; what is not one is told by its first words. */
export function readRefusal(status: number, body: string): Refusal {
  try {
    const { error } = JSON.parse(body) as { error?: { message?: unknown; errors?: { reason?: unknown }[] } };
    if (typeof error?.message === "string")
      return { status, reason: String(error.errors?.[0]?.reason ?? ""), message: error.message };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  return { status, reason: "", message: body.trim().slice(0, 200) };
}

/** What the library threw, where it is an HTTP answer: its own ApiError, or the GaxiosError of a session's start. */
export function refusalOf(error: unknown): Refusal | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code, status, response, errors } = error as {
    code?: unknown;
    status?: unknown;
    response?: { status?: unknown };
    errors?: { reason?: unknown }[];
  };
  const found = [status, response?.status, code].map(Number).find((number) => number >= 300 && number < 600);
  if (found === undefined) return undefined;
  return { status: found, reason: String(errors?.[0]?.reason ?? ""), message: error.message };
}

/** What the library threw, as our error. Without an HTTP answer nobody answered. */
export function translated(error: unknown, what: string): StatusError {
  if (error instanceof StatusError) return error;
  const refusal = refusalOf(error);
  if (refusal !== undefined) return refused(what, refusal, error);
  const said = error instanceof Error ? error.message : String(error);
  return new StatusError(isNetworkError(error) ? "UNAVAILABLE" : "UNKNOWN", `${what}: ${said}`, { cause: error });
}

const networkErrors =
  /ECONNRESET|ECONNREFUSED|ECONNABORTED|EPIPE|ETIMEDOUT|ESOCKETTIMEDOUT|EAI_AGAIN|ENOTFOUND|EHOSTUNREACH|ENETUNREACH|socket hang up|network timeout|timed? ?out|premature close/i;

function isNetworkError(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = "code" in error ? String(error.code) : "";
  return networkErrors.test(`${code} ${error.message}`) || isNetworkError(error.cause);
}
