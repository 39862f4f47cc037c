/** A price in US dollars, and where it stands. */
export interface Price {
  /** Of one `unit`. */
  dollars: number;
  unit: string;
  /** As the billing catalogue calls it. */
  sku: string;
  page: string;
  /** Whether the price, if not its SKU's name, was read on a copy of that page, and not in somebody else's account of it. */
  isRead: boolean;
}

/** List prices of us-central1 without free tiers; when they were looked up. */
export const asOf = "2026-11-21";

const perMillion = 1e-6;
const perHundredThousand = 1e-5;

export const prices = {
  read: {
    dollars: 0.03 * perHundredThousand,
    unit: "document",
    sku: "Cloud Firestore Read Ops",
    page: "https://cloud.google.com/firestore/pricing",
    isRead: false,
  },
  write: {
    dollars: 0.09 * perHundredThousand,
    unit: "document",
    sku: "Cloud Firestore Entity Writes",
    page: "https://cloud.google.com/firestore/pricing",
    isRead: false,
  },
  delete: {
    dollars: 0.01 * perHundredThousand,
    unit: "document",
    sku: "Cloud Firestore Entity Deletes",
    page: "https://cloud.google.com/firestore/pricing",
    isRead: false,
  },
  messageByte: {
    dollars: 40 / 2 ** 40,
    unit: "byte published or pushed, at least 1000 a request",
    sku: "Message Delivery Basic",
    page: "https://cloud.google.com/pubsub/pricing",
    isRead: true,
  },
  classA: {
    dollars: 0.005 / 1000,
    unit: "operation",
    sku: "Regional Standard Class A Operations",
    page: "https://cloud.google.com/storage/pricing",
    isRead: true,
  },
  classB: {
    dollars: 0.0004 / 1000,
    unit: "operation",
    sku: "Regional Standard Class B Operations",
    page: "https://cloud.google.com/storage/pricing",
    isRead: true,
  },
  storedGb: {
    dollars: 0.02,
    unit: "GB and month",
    sku: "Standard Storage US Regional",
    page: "https://cloud.google.com/storage/pricing",
    isRead: true,
  },
  job: {
    dollars: 0.1,
    unit: "job and month",
    sku: "Cloud Scheduler Jobs",
    page: "https://cloud.google.com/scheduler/pricing",
    isRead: true,
  },
  request: {
    dollars: 0.4 * perMillion,
    unit: "request",
    sku: "Cloud Run Services Requests",
    page: "https://cloud.google.com/run/pricing",
    isRead: false,
  },
  cpuSecond: {
    dollars: 0.000024,
    unit: "vCPU and second",
    sku: "Cloud Run Services CPU (Request-based billing)",
    page: "https://cloud.google.com/run/pricing",
    isRead: true,
  },
  memorySecond: {
    dollars: 0.0000025,
    unit: "GiB and second",
    sku: "Cloud Run Services Memory (Request-based billing)",
    page: "https://cloud.google.com/run/pricing",
    isRead: false,
  },
} as const satisfies Record<string, Price>;
