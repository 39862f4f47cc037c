import { expect } from "vitest";
import type { InstanceFlags } from "../../shared/backup/instance.ts";
import { fillEverything } from "../fixture/dataset.ts";
import { assertAtRest, type Stage } from "./stage.ts";

/** A Valkey 8.0 that holds every type, registered as `orders`. Answers its endpoint. */
export async function startSource(stage: Stage, flags?: InstanceFlags): Promise<string> {
  const { endpoint } = await stage.valkey({ version: "8.0" });
  await fillEverything(endpoint);
  await stage.register("orders", endpoint, flags);
  return endpoint;
}

/** Ends the stage; fails unless all is at rest there, and no Operation and no line of the log tells the password. */
export async function endAtRest(stage: Stage, password: string): Promise<void> {
  try {
    await assertAtRest(stage);
    expect(JSON.stringify([await stage.operations(), await stage.log()])).not.toContain(password);
  } finally {
    await stage[Symbol.asyncDispose]();
  }
}
