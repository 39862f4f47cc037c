import type { Instance } from "../../../shared/backup/backup.ts";
import { instanceName } from "../../../shared/backup/name.ts";
import { asStatusError, StatusError } from "../../../shared/error.ts";
import type { Server } from "../../../shared/pipeline/ports.ts";
import { command } from "../command.ts";
import { readInstanceId } from "../names.ts";
import type { Connection } from "../session.ts";
import { table, wrapped } from "../table.ts";
import type { Denied } from "./permissions.ts";
import { tryShards } from "./snapshot-trial.ts";
import type { VolumeFound } from "./volume.ts";

/** What was tried, and what came of it. `note`: it concerns restores into the instance, not its backups. */
interface Probe {
  name: "endpoint" | "tls" | "password" | "acl" | "mode" | "snapshot" | "restore";
  state: "ok" | "failed" | "note";
  message: string;
}

/** What a first connection goes through, in this order. */
const stages = ["endpoint", "tls", "password", "acl"] as const;

export const check = command({
  positionals: { INSTANCE: { help: "its id", read: readInstanceId } },
  flags: {},
  example: "valkeep instances check orders",

  async run({ positionals }, session) {
    const connection = await session.connect();
    const name = instanceName(positionals.INSTANCE);
    const found = await connection.ports.store.get<Instance>(name);
    if (found === undefined) throw new StatusError("NOT_FOUND", `there is no ${name}`);
    const probes = await probe(found.data, connection, session.signal);
    const rows = probes.map(({ name: what, state, message }) => [what, state === "failed" ? "FAILED" : state, message]);
    session.print(probes, table(wrapped(rows, session.columns)));
    return probes.some(({ state }) => state === "failed") ? 1 : 0;
  },
});

/** Each probe rests on the one before: the first that fails is the last. */
async function probe(
  instance: Instance,
  { ports, deniedToRestore, lookAtVolume }: Connection,
  signal: AbortSignal,
): Promise<Probe[]> {
  const { valkey } = ports;
  const probes: Probe[] = [];
  try {
    probes.push(...reached(instance, await valkey.describe(instance, signal)));
  } catch (error) {
    signal.throwIfAborted();
    return stopped(asStatusError(error));
  }
  const rest: [Probe["name"], () => Promise<Pick<Probe, "state" | "message">>][] = [
    ["mode", async () => ok(`${instance.mode}, shards: ${await valkey.shardCount(instance, signal)}`)],
    [
      "snapshot",
      async () =>
        instance.snapshotMethod === "VOLUME"
          ? volumeText(instance, await lookAtVolume(instance, signal))
          : ok(await tryShards(instance, valkey, signal)),
    ],
    ["restore", async () => rightsText(await deniedToRestore(instance, signal))],
  ];
  for (const [name, attempt] of rest) {
    const outcome = await attempt().catch((error) => {
      signal.throwIfAborted();
      return { state: "failed" as const, message: asStatusError(error).message };
    });
    probes.push({ name, ...outcome });
    if (outcome.state === "failed") break;
  }
  return probes;
}

function reached(instance: Instance, server: Server): Probe[] {
  const { endpoint, transitEncryptionMode, authUser = "default", authSecret } = instance;
  const keys = Object.values(server.databases).reduce((sum, database) => sum + database.keys, 0);
  const tls = transitEncryptionMode === "SERVER_AUTHENTICATION" ? "its certificate is accepted" : "off, as registered";
  return [
    {
      name: "endpoint",
      ...ok(`${endpoint} is ${server.product} ${server.version}, ${server.role}, with ${keys} keys`),
    },
    { name: "tls", ...ok(tls) },
    { name: "password", ...ok(authSecret === undefined ? "none is asked for" : `accepted for ${authUser}`) },
  ];
}

/** The stage that stopped the first connection, and those that it had passed. Without its secret none was made. */
function stopped({ code, message }: StatusError): Probe[] {
  if (/^secret /.test(message)) return [{ name: "password", state: "failed", message }];
  const failed = stageOf(code, message);
  const passed = stages.slice(0, stages.indexOf(failed)).map((name) => ({ name, ...ok("") }));
  return [...passed, { name: failed, state: "failed", message }];
}

function stageOf(code: StatusError["code"], message: string): (typeof stages)[number] {
  if (code === "PERMISSION_DENIED") return "acl";
  if (code === "UNAUTHENTICATED") return "password";
  return /TLS|certificate/.test(message) ? "tls" : "endpoint";
}

/** Nothing is saved for this: a BGSAVE that fails has the server refuse writes. */
export function volumeText(
  { dataDirectory }: Instance,
  found: VolumeFound | undefined,
): Pick<Probe, "state" | "message"> {
  const mounted = `mounted at ${dataDirectory} where the function snapshot runs`;
  if (found === undefined) return { state: "note", message: `by BGSAVE; its data directory has to be ${mounted}` };
  const { denied = [], serverFile, hindrance } = found;
  if (denied.length > 0)
    return { state: "failed", message: `by BGSAVE; the ACL lacks ${denied.map((name) => `+${name}`).join(" ")}` };
  const saves = `by BGSAVE, which writes ${serverFile}`;
  if (hindrance === undefined) return ok(`${saves}; it can be read here, and has to be so ${mounted}`);
  return { state: "note", message: `${saves}; that directory has to be ${mounted}. Here: ${hindrance}` };
}

function rightsText(denied: Denied | undefined): Pick<Probe, "state" | "message"> {
  if (denied === undefined)
    return { state: "note", message: "whether the ACL allows it is not known: ACL DRYRUN is refused" };
  const grants = (names: string[]): string => names.map((name) => `+${name}`).join(" ");
  if (denied.needed.length > 0) return { state: "note", message: `the ACL lacks ${grants(denied.needed)}` };
  if (denied.useful.length === 0) return ok("the ACL allows it");
  return { state: "note", message: `the ACL allows it; its checks could tell more with ${grants(denied.useful)}` };
}

const ok = (message: string) => ({ state: "ok" as const, message });
