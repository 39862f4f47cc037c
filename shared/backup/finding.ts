/** INFO: worth knowing. WARNING: protection is weaker than it should be. CRITICAL: data would be lost, or soon will be. */
export type Severity = "INFO" | "WARNING" | "CRITICAL";
