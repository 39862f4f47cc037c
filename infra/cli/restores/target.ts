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
import type { Ports } from "../../../shared/pipeline/ports.ts";
import { type accessFlags, accessOf } from "../instances/flags.ts";
import { assertIdle, registeredIn } from "../instances/idle.ts";
import { readInstanceId } from "../names.ts";
import type { Session } from "../session.ts";

type Given = { to: string; location: string | undefined } & Record<keyof typeof accessFlags, string | undefined>;

/** Into what a restore goes, and what registers it with the request, where it is not registered yet. */
export interface Target {
  /** The id of an instance. */
  instance: string;
  register?: (change: Change) => Promise<void>;
}

/**
 * Finds the instance by its id, or by its endpoint; an endpoint that nobody has registered gets an id made of it. Flags of
 * access belong to such an instance alone: they are put down with it, or change it if an earlier restore registered it.
 */
export async function targetOf(given: Given, session: Session): Promise<Target> {
  const access = { location: given.location, ...(await accessOf(given)) };
  const hasAccess = Object.values(access).some((value) => value !== undefined);
  if (!given.to.includes(":")) {
    if (hasAccess) throw registeredAlready(given.to);
    return { instance: readInstanceId(given.to) };
  }
  const endpoint = endpointOf(given.to);
  const id = instanceIdAt(endpoint);
  const flags = { ...access, id, endpoint };
  newInstance({ ...flags, location: given.location ?? "local" }, "", ""); // malformed flags need no stack to be told
  const { ports, location } = await session.connect();
  const found = await instanceAt(endpoint, ports);
  if (found === undefined) {
    session.say(`${endpoint} is registered as ${id}, without automated backups`);
    const uid = ports.ids.uuid();
    return {
      instance: id,
      register: (change) => register({ ...flags, location: given.location ?? location }, uid, change),
    };
  }
  const instance = parseInstanceName(found.name);
  session.say(`${endpoint} is registered as ${instance}`);
  if (!hasAccess) return { instance };
  if (instance !== id) throw registeredAlready(instance);
  return { instance, register: (change) => reachAnew(id, access, change) };
}

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

async function register(flags: Parameters<typeof newInstance>[0], uid: string, change: Change): Promise<void> {
  const instance = newInstance(flags, uid, change.now);
  const existing = await change.read<Instance>(instance.name);
  if (existing?.endpoint === instance.endpoint) return; // somebody else registers it at the same time
  if (existing !== undefined)
    throw new StatusError("ALREADY_EXISTS", `${instance.name} is registered with another endpoint; name an instance`);
  change.put(instance.name, instance);
}

async function reachAnew(id: string, access: InstanceFlags, change: Change): Promise<void> {
  const before = await registeredIn(change, id);
  await assertIdle(change, before);
  change.put(before.name, changedInstance(before, access, change.now));
}

function registeredAlready(id: string): StatusError {
  const advice = `valkeep instances update ${id} changes how it is reached`;
  return new StatusError("INVALID_ARGUMENT", `${id} is registered, flags of access are for what is not; ${advice}`);
}
