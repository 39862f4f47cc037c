/** What a function's process is told by its environment, read once. */
export interface Config {
  projectId: string;
  location: string;
  vaultBucket: string;
  inboxBucket: string;
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
  return Object.freeze({
    projectId: need("GOOGLE_CLOUD_PROJECT"),
    location: need("VALKEEP_LOCATION"),
    vaultBucket: need("VALKEEP_VAULT_BUCKET"),
    inboxBucket: need("VALKEEP_INBOX_BUCKET"),
    ...(VALKEEP_STORAGE_ENDPOINT && { storageEndpoint: VALKEEP_STORAGE_ENDPOINT }),
    ...(VALKEEP_SCHEDULER_ENDPOINT && { schedulerEndpoint: VALKEEP_SCHEDULER_ENDPOINT }),
    isLocal: environment.VALKEEP_LOCAL === "1",
    secretsDirectory: VALKEEP_SECRETS_DIR ?? ".local/secrets",
    ...(VALKEEP_BORDER_BYTES && { borderBytes: Number(VALKEEP_BORDER_BYTES) }),
  });
}
