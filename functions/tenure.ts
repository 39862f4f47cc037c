import { setFlagsFromString } from "node:v8";

/**
 * Imported for its effect, before anything else runs. V8 notices which places in the code make objects that stay, and from then on
 * puts what they make among the old ones. With the young generation of a small instance it is misled: records on their way through
 * are taken for what stays, the old generation fills with them, and a load takes up to twice its processor time for the collection
 * there (5.2 s in place of 2.9 s for 400 MB). `NODE_OPTIONS` does not take this flag; `node --v8-options` explains it.
 */
setFlagsFromString("--no-allocation-site-pretenuring");
