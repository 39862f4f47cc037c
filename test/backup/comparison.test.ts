import { describe, expect, it } from "vitest";
import { compare, type Found } from "../../shared/backup/comparison.ts";
import type { RestorePlan } from "../../shared/backup/operation.ts";

/** A restore of ten keys, loaded by one part, into a target that had so many function libraries. */
function planOf(functions: number, functionCount?: number): RestorePlan {
  const databases = { 0: { keys: 10, expires: 0 } };
  const sum = { file: 0, databases, expiredKeys: 0, soonExpiredKeys: 0, functions, sizeBytes: 100 };
  const target = { runId: "run", expiredKeys: 0, ...(functionCount !== undefined && { functionCount }) };
  const loaded = [sum, { ...sum, file: 1, databases: {}, functions: 0 }];
  return { source: "file", files: [], parts: [], askedCount: 0, loadedCount: 0, target, loaded };
}

const foundWith = (functionCount?: number): Found => ({
  runId: "run",
  expiredKeys: 0,
  databases: { 0: { keys: 10, expires: 0 } },
  ...(functionCount !== undefined && { functionCount }),
});

describe("a comparison of function libraries", () => {
  it.each([
    [2, 0, 2],
    [2, 3, 5],
    [0, 3, 3],
    [0, 0, 0],
  ])("finds nothing wrong with %i loaded beside %i, and %i there", (loaded, before, now) => {
    expect(compare(planOf(loaded, before), foundWith(now))).toEqual([]);
  });

  it.each([
    [2, 0, 3],
    [2, 0, 1],
    [2, 3, 2],
    [2, 3, 3],
    [0, 0, 1],
    [0, 3, 2],
  ])("complains of %i loaded beside %i, and %i there", (loaded, before, now) => {
    const complaint = `${now} function libraries are there, ${loaded} were loaded beside ${before}`;
    expect(compare(planOf(loaded, before), foundWith(now))).toEqual([complaint]);
  });

  it.each([
    [undefined, 2],
    [0, undefined],
    [undefined, undefined],
  ])("says nothing where a count is not known: %s before, %s now", (before, now) => {
    expect(compare(planOf(1, before), foundWith(now))).toEqual([]);
  });
});
