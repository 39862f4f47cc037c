import type { Instance } from "../../../shared/backup/backup.ts";
import {
  changedInstance,
  endpointOf,
  type InstanceFlags,
  instanceIdAt,
  newInstance,
} from "../../../shared/backup/instance.ts";
import { parseInstanceName } from "../../../shared/backup/name.ts";
import { StatusError } from "../../../shared/error.ts";
import type { Change } from "../../../shared/pipeline/change.ts";
import { existing } from "../../../shared/pipeline/existing.ts";
import type { Ports } from "../../../shared/pipeline/ports.ts";
import type { Flag } from "../command.ts";
import { type accessFlags, accessOf } from "../instances/flags.ts";
import { assertIdle, registeredIn } from "../instances/idle.ts";
import { readInstanceId } from "../names.ts";
import type { Session } from "../session.ts";

/** What a HOST:PORT that is not registered is registered as; what is absent is taken from the backup. */
export const shapeFlags = {
  location: {
    type: "string",
    value: "REGION",
    help: "of a HOST:PORT that is not registered; the backup's where absent",
  },
  mode: {
    type: "string",
    value: "MODE",
    help: "likewise: cluster-disabled or cluster",
    values: ["cluster-disabled", "cluster"],
  },
  "node-type": { type: "string", value: "TYPE", help: "likewise: highmem-medium, for one" },
  "shard-count": { type: "string", value: "COUNT", help: "likewise: 1 to 250" },
  "replica-count": { type: "string", value: "COUNT", help: "likewise: 0 to 250" },
} as const satisfies Record<string, Flag>;

type Given = { to: string; backup: string | undefined; "dry-run": boolean | undefined } & Record<
  keyof typeof shapeFlags | keyof typeof accessFlags,
  string | undefined
>;

/** Into what a restore goes, and what is to be put down of it with the request, where it is not registered yet. */
export interface Target {
  /** The id of an instance. */
  instance: string;
  decide?: (change: Change) => Promise<void>;
  /** What `decide` makes of the target, to be told once the request is put down. */
  outcome?: string;
}

/**
 * Finds the instance by its id, or by its endpoint; an endpoint that nobody has registered gets an id made of it, and the
 * shape of the backup. Flags of access and shape belong to such an instance alone: they are put down with it, or change it
 * if an earlier restore registered it. A dry run registers and changes nothing: the Operation alone knows its target.
 */
export async function targetOf(given: Given, session: Session): Promise<Target> {
  const said = { ...shapeOf(given), ...(await accessOf(given)) };
  const saysAnything = Object.values(said).some((value) => value !== undefined);
  if (!given.to.includes(":")) {
    if (saysAnything) throw namesInstance(given.to);
    return { instance: readInstanceId(given.to) };
  }
  const endpoint = endpointOf(given.to);
  const id = instanceIdAt(endpoint);
  newInstance({ ...said, id, endpoint, location: said.location ?? "local" }, "", ""); // malformed flags need no stack to be told
  const { ports, location } = await session.connect();
  const found = await instanceAt(endpoint, ports);
  const isDry = given["dry-run"] ?? false;
  if (found === undefined) {
    const how = isDry ? "not registered, and not by a dry run" : `registered as ${id}, without automated backups`;
    const outcome = `${endpoint} is ${how}`;
    const uid = ports.ids.uuid();
    const fresh = async (change: Change): Promise<Instance> => {
      const flags = await filled(said, given.backup, change);
      return newInstance({ ...flags, id, endpoint, location: flags.location ?? location }, uid, change.now);
    };
    return { instance: id, outcome, decide: async (change) => register(await fresh(change), isDry, change) };
  }
  const instance = parseInstanceName(found.name);
  session.say(`${endpoint} is registered as ${instance}`);
  if (!saysAnything) return { instance };
  if (instance !== id) throw namesInstance(instance);
  return { instance, decide: (change) => registerAnew(id, said, isDry, change) };
}

const shapeOf = (given: Given): InstanceFlags => ({
  location: given.location,
  mode: given.mode,
  nodeType: given["node-type"],
  shardCount: given["shard-count"],
  replicaCount: given["replica-count"],
});

/** FAILED_PRECONDITION: several instances are registered there. */
async function instanceAt(endpoint: string, { store }: Ports): Promise<Instance | undefined> {
  const found = await store.query<Instance>({
    collection: "instances",
    where: [["endpoint", "==", endpoint]],
    limit: 2,
  });
  if (found.length > 1) {
    const ids = found.map(({ data }) => parseInstanceName(data.name)).join(" and ");
    throw new StatusError("FAILED_PRECONDITION", `${endpoint} is registered as ${ids}: name the instance`);
  }
  return found[0]?.data;
}

/** The flags, and from the backup what they leave open. NOT_FOUND: there is no such backup. */
async function filled(said: InstanceFlags, backup: string | undefined, change: Change): Promise<InstanceFlags> {
  if (backup === undefined) return said;
  const { location, mode, nodeType, shardCount, replicaCount } = await existing(change, backup);
  return {
    ...said,
    location: said.location ?? location,
    mode: said.mode ?? mode,
    nodeType: said.nodeType ?? nodeType,
    shardCount: said.shardCount ?? `${shardCount}`,
    replicaCount: said.replicaCount ?? `${replicaCount}`,
  };
}

async function register(instance: Instance, isDry: boolean, change: Change): Promise<void> {
  if (isDry) {
    change.operation.dryRunTarget = instance;
    return;
  }
  const there = await change.read<Instance>(instance.name);
  if (there?.endpoint === instance.endpoint) return; // somebody else registers it at the same time
  if (there !== undefined)
    throw new StatusError("ALREADY_EXISTS", `${instance.name} is registered with another endpoint; name an instance`);
  change.put(instance.name, instance);
}

async function registerAnew(id: string, said: InstanceFlags, isDry: boolean, change: Change): Promise<void> {
  const before = await registeredIn(change, id);
  const after = changedInstance(before, said, change.now);
  if (isDry) {
    change.operation.dryRunTarget = after;
    return;
  }
  await assertIdle(change, before);
  change.put(before.name, after);
}

function namesInstance(id: string): StatusError {
  const advice = `valkeep instances update ${id} changes how it is reached`;
  return new StatusError(
    "INVALID_ARGUMENT",
    `${id} names an instance, flags of access and shape are for what is not registered; ${advice}`,
  );
}
