import { later, timeOf } from "../shared/backup/duration.ts";
import { asStatusError } from "../shared/error.ts";
import type { ObjectInfo, Objects } from "../shared/pipeline/ports.ts";
import { createStandings } from "../shared/pipeline/standing.ts";
import { step } from "../shared/pipeline/step.ts";
import { walkVault } from "../shared/pipeline/walk.ts";

/** From which age an orphan is erased, in seconds: longer than any Operation could still be about to use it. */
const orphanAge = 7 * 86_400;

/** What one page of the vault came to. */
interface Page {
  erased: number;
  /** Kept by a hold or a retention policy. */
  blocked: number;
  /** Without a document, and not erased: a case for a rebuild. */
  unlisted: number;
  next: string | undefined;
}

/**
 * Erases what lies in the vault of no backup: what failed Operations left and nobody came back for, and undos whose time is over.
 * Only objects of exactly our names and marks, by generation; never a manifest, nor anything for which one stands.
 */
export const reclaim = step<"orphans.v1.requested", Page>({
  on: "orphans.v1.requested",
  goesOn: true,

  async run({ data: { startOffset }, renew }, ports, signal) {
    const page: Page = { erased: 0, blocked: 0, unlisted: 0, next: undefined };
    const standingOf = createStandings(ports);
    const old = later(timeOf(ports.clock.now()), -orphanAge);
    page.next = await walkVault(ports, "", startOffset, signal, async (found) => {
      if (found.createTime > old) return undefined;
      const standing = await standingOf(found);
      if (standing === "UNLISTED") page.unlisted++;
      if (standing !== "ORPHAN") return undefined;
      await renew();
      page[await erase(found, ports.objects)]++;
      return undefined;
    });
    return page;
  },

  async commit({ data: { page: number = 0 } }, { next, ...page }, change) {
    const { erased = 0, blocked = 0, unlisted = 0 } = change.operation.response ?? {};
    change.operation.response = {
      erased: Number(erased) + page.erased,
      blocked: Number(blocked) + page.blocked,
      unlisted: Number(unlisted) + page.unlisted,
    };
    if (next === undefined) return await change.end();
    change.ask("orphans.v1.requested", { startOffset: next, page: number + 1 }, number + 1);
  },
});

async function erase(found: ObjectInfo, objects: Objects): Promise<"erased" | "blocked"> {
  try {
    await objects.remove(found);
    return "erased";
  } catch (error) {
    if (asStatusError(error).code !== "FAILED_PRECONDITION") throw error;
    return "blocked";
  }
}
