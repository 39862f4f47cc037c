import { invalid } from "./error.ts";

const multiRegions = ["ASIA", "EU", "US"];
// The predefined dual-regions of https://cloud.google.com/storage/docs/locations#location-dr
const dualRegions = ["ASIA1", "EUR4", "EUR5", "EUR7", "EUR8", "NAM4"];

/** A bucket's location in the API's spelling and the kind of place that it is. */
export interface Location {
  location: string;
  locationType: "region" | "dual-region" | "multi-region";
}

/** Where a bucket lies; without a location in the US, as in Cloud Storage. Regions look like `ASIA-NORTHEAST1`. */
export function locate(name = "US"): Location {
  const location = name.toUpperCase();
  if (multiRegions.includes(location)) return { location, locationType: "multi-region" };
  if (dualRegions.includes(location)) return { location, locationType: "dual-region" };
  if (/^[A-Z]+-[A-Z]+\d+$/.test(location)) return { location, locationType: "region" };
  throw invalid(`The specified location constraint is not valid: '${name}'`);
}
