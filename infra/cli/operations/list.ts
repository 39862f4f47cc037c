import { timeOf } from "../../../shared/backup/duration.ts";
import type { Operation, Progress } from "../../../shared/backup/operation.ts";
import { beginTimeOf } from "../../../shared/pipeline/identity.ts";
import type { Doc, Query, Store } from "../../../shared/pipeline/ports.ts";
import { type Cell, time } from "../cell.ts";
import { command } from "../command.ts";
import { matches } from "../filter/match.ts";
import { parseFilter } from "../filter/parse.ts";
import { printSelection } from "../list.ts";
import { shortName } from "../names.ts";
import { optionalFields } from "../optional.ts";
import { type SelectionFlags, selectionFlags } from "../selection.ts";

/** How many are shown where nobody says: an operation is kept for 90 days, and the last ones are those that matter. */
const usual = "20";

/** How many are read at a time where most may not be shown. */
const pageSize = 300;

export const list = command({
  positionals: {},
  flags: {
    ...selectionFlags,
    limit: { ...selectionFlags.limit, help: `${selectionFlags.limit.help}; ${usual} where absent` },
  },
  example: "valkeep operations list --filter=error.code=UNAVAILABLE --limit=5",

  async run({ flags }, session) {
    const { ports } = await session.connect();
    const limited = { ...flags, limit: flags.limit ?? usual };
    const documents = await newest(ports.store, limited, ports.clock.now());
    const header = ["OPERATION", "TARGET", "STATE", "CREATED", "ENDED"];
    const now = timeOf(ports.clock.now());
    const row = (operation: Operation) => rowOf(operation, now);
    await printSelection(session, { what: "operations", documents, header, rowOf: row, optional }, limited);
  },
});

const optional = [
  ...optionalFields<Operation>({
    ...{ requestId: true, cause: true, postponed: true, endTime: true, error: true, hasFailed: true, response: true },
    ...{ checks: true, plan: true, selection: true, dryRunTarget: true, incidents: true },
  }),
  ...optionalFields<Progress>({ doneBytes: true, totalBytes: true, resume: true }).map((field) => `progress.${field}`),
];

function rowOf(operation: Operation, now: string): Cell[] {
  const { name, target, createTime, endTime, done, error } = operation;
  const state = done ? (error?.code ?? "DONE") : stateText(operation, now);
  return [shortName(name), target, state, time(createTime), time(endTime)];
}

/** Once its first step is through, what it waited for is over. One may have been asked for an hour ahead: nobody works at it. */
function stateText(operation: Operation, now: string): string {
  const { progress, request, postponed } = operation;
  const isWaiting = postponed !== undefined && progress.step === request.type;
  if (isWaiting) return `postponed until ${postponed.until}`;
  const begin = beginTimeOf(operation);
  return begin > now ? `begins at ${begin}` : `at ${progress.step}`;
}

/** The newest ones, until as many as are wanted match; all of them where they are to be sorted otherwise. */
async function newest(store: Store, flags: SelectionFlags, now: number): Promise<Operation[]> {
  const filter = flags.filter === undefined ? undefined : parseFilter(flags.filter);
  const isEverythingRead = flags["sort-by"] !== undefined;
  const limit = filter === undefined && !isEverythingRead ? Number(flags.limit) : pageSize;
  const query: Query = { collection: "operations", orderBy: { field: "createTime", direction: "desc" }, limit };
  const found: Operation[] = [];
  let matching = 0;
  for (let after: Doc<Operation> | undefined; ; ) {
    const page = await store.query<Operation>({ ...query, ...(after !== undefined && { after }) });
    for (const { data } of page) {
      found.push(data);
      if (filter === undefined || matches(filter, data, now)) matching += 1;
    }
    after = page.at(-1);
    const isEnough = !isEverythingRead && matching >= Number(flags.limit);
    if (page.length < limit || isEnough) return found;
  }
}
