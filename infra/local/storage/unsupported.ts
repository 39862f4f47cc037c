import type { IncomingHttpHeaders } from "node:http";
import { type ApiError, unimplemented } from "./error.ts";

/** Parameters of Cloud Storage that would change what a request means, with the feature that they ask for. */
const parameters: Record<string, string> = {
  predefinedAcl: "ACLs (predefinedAcl)",
  predefinedDefaultObjectAcl: "ACLs (predefinedDefaultObjectAcl)",
  destinationPredefinedAcl: "ACLs (destinationPredefinedAcl)",
  kmsKeyName: "customer-managed encryption keys (kmsKeyName)",
  destinationKmsKeyName: "customer-managed encryption keys (destinationKmsKeyName)",
  versions: "object versioning (versions)",
  softDeleted: "soft delete (softDeleted)",
  matchGlob: "listing by matchGlob",
  filter: "listing by filter",
  includeFoldersAsPrefixes: "managed folders (includeFoldersAsPrefixes)",
  includeTrailingDelimiter: "listing with includeTrailingDelimiter",
  enableObjectRetention: "object retention (enableObjectRetention)",
  overrideUnlockedRetention: "object retention (overrideUnlockedRetention)",
  deleteSourceObjects: "compose with deleteSourceObjects",
};

/** Parts of paths that belong to features which this server lacks. */
const places: Record<string, string> = {
  acl: "ACLs",
  defaultObjectAcl: "default object ACLs",
  iam: "IAM policies",
  hmacKeys: "HMAC keys",
  serviceAccount: "service accounts",
  watch: "object change notifications (watch)",
  channels: "object change notifications (channels)",
  restore: "soft delete (restore)",
  moveTo: "objects.move",
  copyTo: "objects.copy; use rewrite",
  folders: "folders",
  managedFolders: "managed folders",
  anywhereCaches: "Anywhere Cache",
  operations: "long-running operations",
  batch: "batch requests",
};

/** Throws 501 if a request's parameters or headers ask for a feature that this server lacks. */
export function refuseUnsupported(query: URLSearchParams, headers: IncomingHttpHeaders): void {
  for (const [name, value] of query) {
    if (Object.hasOwn(parameters, name) && value !== "" && value !== "false")
      throw unimplemented(parameters[name] ?? name);
    if (/^X-(Goog|Amz)-(Signature|Algorithm|Credential)$/i.test(name)) throw unimplemented("signed URLs");
  }
  const encrypted = headers["x-goog-encryption-algorithm"] ?? headers["x-goog-copy-source-encryption-algorithm"];
  if (encrypted !== undefined) throw unimplemented("customer-supplied encryption keys");
}

/** The 501 for a path that no route serves, which names the feature where it is known. */
export function unknownPlace(method: string, path: string[]): ApiError {
  const place = path.find((part, position) => Object.hasOwn(places, part) && !isName(path, position));
  if (place !== undefined) return unimplemented(places[place] ?? place);
  const isXml = path[0] !== undefined && !["storage", "upload", "download"].includes(path[0]);
  return unimplemented(isXml ? `the XML API (${method} /${path[0]}/…)` : `${method} /${path.join("/")}`);
}

/** Whether a part of a path is a bucket's or an object's name rather than a word of the API. */
function isName(path: string[], position: number): boolean {
  const before = path[position - 1];
  return before === "b" || before === "o" || before === "projects";
}
