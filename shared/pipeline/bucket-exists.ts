import { asStatusError } from "../error.ts";
import type { Objects } from "./ports.ts";

/** Whether a bucket still exists: with it, its owner has taken away what it held. */
export async function bucketExists(bucket: string, objects: Objects): Promise<boolean> {
  try {
    await objects.describe(bucket);
    return true;
  } catch (error) {
    if (asStatusError(error).code === "NOT_FOUND") return false;
    throw error;
  }
}
