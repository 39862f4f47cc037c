import { describe, expect, it } from "vitest";
import { later } from "../../shared/backup/duration.ts";
import { beginTimeOf, newOperation, prolonged } from "../../shared/pipeline/identity.ts";

const begin = "2026-01-01T00:00:00.000Z";
const hour = 3600;
const backup = newOperation("backup.v1.requested", { instance: "orders" }, "backup-0123456789abcdef", begin);

describe("the deadline of an Operation that has got on", () => {
  it.each([
    ["leaves it all its time again", 5, 72, 11],
    ["is the latest that there may be, however often it gets on", 70, 72, 72],
    ["is never earlier than before", 0, 3, 6],
  ])("%s", (_, hours, most, expected) => {
    const found = prolonged(backup, later(begin, hours * hour), later(begin, (most - 72) * hour));
    expect(found).toBe(later(begin, expected * hour));
  });

  it("tells when that was", () => {
    const now = later(begin, 5 * hour);
    expect(beginTimeOf({ ...backup, deadlineTime: prolonged(backup, now, begin) })).toBe(now);
  });
});
