/** A refusal as the JSON API words it: an HTTP status, Google's `reason`, and a message for the person who called. */
export class ApiError extends Error {
  readonly status: number;
  readonly reason: string;

  constructor(status: number, reason: string, message: string) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.reason = reason;
  }
}

/** Google's JSON error form, which client libraries read `code`, `message` and `errors[0].reason` from. */
export function errorBody(error: ApiError): object {
  const { status, reason, message } = error;
  return { error: { code: status, message, errors: [{ message, domain: "global", reason }] } };
}

/** Anything thrown as an ApiError; what nobody foresaw is a 500, which clients may try again. */
export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new ApiError(500, "backendError", `The local storage server failed: ${message}`);
}

/** 400: the request itself is wrong; sending it again cannot help. */
export function invalid(message: string): ApiError {
  return new ApiError(400, "invalid", message);
}

/** 404 for a bucket, in Google's words. */
export function noSuchBucket(): ApiError {
  return new ApiError(404, "notFound", "The specified bucket does not exist.");
}

/** 404 for an object, in Google's words. */
export function noSuchObject(bucket: string, name: string): ApiError {
  return new ApiError(404, "notFound", `No such object: ${bucket}/${name}`);
}

/** 412: a precondition of the request did not hold, and nothing was changed. */
export function conditionNotMet(): ApiError {
  return new ApiError(412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.");
}

/** 501: Cloud Storage can do this and this server cannot; `feature` names what it was. */
export function unimplemented(feature: string): ApiError {
  return new ApiError(501, "notImplemented", `The local storage server does not do this: ${feature}.`);
}
