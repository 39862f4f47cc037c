import { type Finding, type Look, type Outcome, reconciled } from "../backup/finding.ts";
import { idOf, outboxCollection, outboxEntry } from "./change.ts";
import type { Outgoing } from "./commit.ts";
import { publish } from "./outbox.ts";
import type { Doc, Ports, Write } from "./ports.ts";

/**
 * Writes down what a look found, and tells what is new and what is gone: finding and alert in one guarded batch, so that an alert
 * is made once however many looks meet. ABORTED: another look has written meanwhile, and told what there was to tell. What cannot
 * be published now, `relay` publishes.
 */
export async function record(ports: Ports, look: Look): Promise<void> {
  const known = await ports.store.query<Finding>({
    collection: "findings",
    where: [["resource", "==", look.resource]],
  });
  const outcomes = reconciled(
    known.map(({ data }) => data),
    look,
  );
  if (outcomes.length === 0) return;
  const outgoing = alertsOf(outcomes, look.time);
  await ports.store.commit([...outcomes.map(({ finding }) => written(finding, known)), ...entriesOf(outgoing)]);
  await publish(outgoing, ports);
}

function written(finding: Finding, known: readonly Doc<Finding>[]): Write {
  const before = known.find(({ path }) => path === finding.name);
  if (before === undefined) return { kind: "create", path: finding.name, data: finding };
  return { kind: "put", path: finding.name, data: finding, updateTime: before.updateTime };
}

/** An alert is known by the finding, by when that appeared, and by what is told: the same one is never queued twice. */
function alertsOf(outcomes: readonly Outcome[], now: string): Outgoing {
  return outcomes.flatMap(({ finding: { name, firstSeenTime, ...finding }, alert }) => {
    if (alert === undefined) return [];
    const { kind, resource, severity, message, advice } = finding;
    const told = { finding: name, kind, resource, severity };
    const id = `${idOf(name)}.${firstSeenTime}.${alert === "raised" ? severity : "cleared"}`;
    const entry =
      alert === "raised"
        ? outboxEntry(id, "alert.v1.raised", { ...told, message, advice }, {}, now)
        : outboxEntry(id, "alert.v1.cleared", told, {}, now);
    return [{ id, entry }];
  });
}

const entriesOf = (outgoing: Outgoing): Write[] =>
  outgoing.map(({ id, entry }) => ({ kind: "create", path: `${outboxCollection}/${id}`, data: entry }));
