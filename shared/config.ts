/** What a function's process is told by its environment, read once. */
export interface Config {
  projectId: string;
  location: string;
  vaultBucket: string;
  inboxBucket: string;
  /** How long one delivery scans before it leaves the rest to the next, in seconds; absent: as the code says. */
  scanSeconds?: number;
  /** How long a claim holds without renewal, in seconds; absent: 60. */
  leaseSeconds?: number;
  /** Of a local Cloud Storage server, `http://127.0.0.1:PORT`; absent: Google's. */
  storageEndpoint?: string;
  /** Of a local Cloud Scheduler server, `127.0.0.1:PORT`; absent: Google's. */
  schedulerEndpoint?: string;
  /** On the local stack, where secrets may be read from files and the environment. */
  isLocal: boolean;
  secretsDirectory: string;
  /** How far apart the places are where a file can be cut into parts, in bytes; absent: 64 MiB. */
  borderBytes?: number;
}

/** Reads the environment; a variable that is missing stops the start with its name. */
export function readConfig(environment: Record<string, string | undefined>): Readonly<Config> {
  const need = (name: string): string => {
    const value = environment[name];
    if (value === undefined || value === "") throw new Error(`the environment variable ${name} is not set`);
    return value;
  };
  const { VALKEEP_STORAGE_ENDPOINT, VALKEEP_SCHEDULER_ENDPOINT, VALKEEP_SECRETS_DIR } = environment;
  const { VALKEEP_BORDER_BYTES } = environment;
  if (VALKEEP_BORDER_BYTES && !/^[1-9]\d{0,14}$/.test(VALKEEP_BORDER_BYTES))
    throw new Error(`VALKEEP_BORDER_BYTES is ${VALKEEP_BORDER_BYTES}, expected a number of bytes`);
  const { VALKEEP_SCAN_SECONDS } = environment;
  if (VALKEEP_SCAN_SECONDS && !/^[1-9]\d{0,2}$/.test(VALKEEP_SCAN_SECONDS))
    throw new Error(`the environment variable VALKEEP_SCAN_SECONDS is ${VALKEEP_SCAN_SECONDS}: expected 1 to 999`);
  const { VALKEEP_LEASE_SECONDS } = environment;
  if (VALKEEP_LEASE_SECONDS && !/^([12345]\d|60)$/.test(VALKEEP_LEASE_SECONDS))
    throw new Error(`the environment variable VALKEEP_LEASE_SECONDS is ${VALKEEP_LEASE_SECONDS}: expected 10 to 60`);
  return Object.freeze({
    projectId: need("GOOGLE_CLOUD_PROJECT"),
    location: need("VALKEEP_LOCATION"),
    vaultBucket: need("VALKEEP_VAULT_BUCKET"),
    inboxBucket: need("VALKEEP_INBOX_BUCKET"),
    ...(VALKEEP_SCAN_SECONDS && { scanSeconds: Number(VALKEEP_SCAN_SECONDS) }),
    ...(VALKEEP_LEASE_SECONDS && { leaseSeconds: Number(VALKEEP_LEASE_SECONDS) }),
    ...(VALKEEP_STORAGE_ENDPOINT && { storageEndpoint: VALKEEP_STORAGE_ENDPOINT }),
    ...(VALKEEP_SCHEDULER_ENDPOINT && { schedulerEndpoint: VALKEEP_SCHEDULER_ENDPOINT }),
    isLocal: environment.VALKEEP_LOCAL === "1",
    secretsDirectory: VALKEEP_SECRETS_DIR ?? ".local/secrets",
    ...(VALKEEP_BORDER_BYTES && { borderBytes: Number(VALKEEP_BORDER_BYTES) }),
  });
}
