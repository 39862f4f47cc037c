import { asStatusError, StatusError } from "../../shared/error.ts";

/**
 * Rejects with the first failure that nobody awaits, and never resolves. Google's libraries look for credentials behind the back
 * of whoever asks them for something, and what they do not find would end the process with a stack trace.
 */
export function strayFailure(): Promise<never> {
  const failure = new Promise<never>((_, reject) => {
    process.on("unhandledRejection", (reason) => reject(explained(reason)));
  });
  failure.catch(() => undefined);
  return failure;
}

function explained(reason: unknown): StatusError {
  const error = asStatusError(reason);
  if (!error.message.startsWith("Could not load the default credentials")) return error;
  const advice = "gcloud auth application-default login gets some; npm run local starts a stack that needs none";
  return new StatusError("UNAUTHENTICATED", `there are no credentials for Google Cloud: ${advice}`, { cause: reason });
}
