import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { later } from "../../shared/backup/duration.ts";
import { type Finding, type Look, reconciled, type Symptom, severities } from "../../shared/backup/finding.ts";

const start = "2026-01-01T00:00:00.000Z";
const kinds = ["bgsave-failed", "job-paused", "backup-overdue"] as const;

const symptoms = fc.uniqueArray(
  fc.record<Symptom>({
    kind: fc.constantFrom(...kinds),
    severity: fc.constantFrom(...severities),
    message: fc.constant("m"),
    advice: fc.constant("a"),
  }),
  { selector: ({ kind }) => kind },
);
const looks = fc.array(fc.record({ seconds: fc.nat(1000), symptoms, unread: fc.subarray([...kinds]) }), {
  maxLength: 8,
});

/** What each of the looks, in the order in which they are written, makes of the findings, and what is told. */
function told(all: { seconds: number; symptoms: Symptom[]; unread: Look["unread"] }[]) {
  const findings = new Map<string, Finding>();
  const alerts: string[] = [];
  for (const { seconds, ...look } of all)
    for (const { finding, alert } of reconciled([...findings.values()], {
      resource: "r/1",
      time: later(start, seconds),
      ...look,
    })) {
      findings.set(finding.name, finding);
      if (alert !== undefined) alerts.push(`${finding.kind} ${alert} ${finding.severity}`);
    }
  return { findings: [...findings.values()], alerts };
}

describe("any looks, in any order", () => {
  it("raise before they clear, and never clear twice", () => {
    fc.assert(
      fc.property(looks, (all) => {
        const { alerts } = told(all);
        for (const kind of kinds) {
          const words = alerts.filter((alert) => alert.startsWith(kind)).map((alert) => alert.split(" ")[1]);
          expect(words[0] ?? "raised").toBe("raised");
          expect(words.join(" ")).not.toMatch(/cleared cleared/);
        }
      }),
    );
  });

  it("tell nothing when the last of them is written again", () => {
    fc.assert(
      fc.property(looks, (all) => {
        const last = all.slice(-1);
        expect(told([...all, ...last]).alerts).toEqual(told(all).alerts);
      }),
    );
  });

  it("leave open what the latest of them saw, when they come in their order", () => {
    fc.assert(
      fc.property(looks, (all) => {
        const inOrder = all.map((look, i) => ({ ...look, unread: [], seconds: i }));
        const seen = (inOrder.at(-1)?.symptoms ?? []).map(({ kind }) => kind).sort();
        const open = told(inOrder).findings.filter(({ state }) => state === "OPEN");
        expect(open.map(({ kind }) => kind).sort()).toEqual(seen);
      }),
    );
  });

  it("do not clear what they could not look at", () => {
    fc.assert(
      fc.property(looks, (all) => {
        const blind = all.map((look) => ({ ...look, symptoms: [], unread: [...kinds] }));
        const seen = {
          seconds: 0,
          symptoms: [{ kind: kinds[0], severity: "INFO" as const, message: "", advice: "" }],
          unread: [],
        };
        expect(told([seen, ...blind]).alerts).toEqual([`${kinds[0]} raised INFO`]);
      }),
    );
  });
});
