import "./tenure.ts";
import { type CloudEvent, cloudEvent } from "@google-cloud/functions-framework";
import { routes } from "../shared/backup/route.ts";
import { readConfig } from "../shared/config.ts";
import { StatusError } from "../shared/error.ts";
import { createPorts } from "../shared/google.ts";
import { buried } from "../shared/pipeline/dead-letter.ts";
import { handle } from "../shared/pipeline/handle.ts";
import { timingOf } from "../shared/pipeline/timing.ts";
import { leaveDomain } from "./leave-domain.ts";
import { type Delivery, unpack } from "./push.ts";
import { relay } from "./relay.ts";
import { type StepFunction, steps } from "./steps.ts";
import { watch } from "./watch.ts";

const config = readConfig(process.env);
const ports = createPorts(config);
const timing = timingOf(config.leaseSeconds);

/** Fails the delivery unless the loop is through with the message: Pub/Sub brings it again. */
async function deliver(name: StepFunction, delivery: Delivery): Promise<void> {
  leaveDomain();
  if (delivery.topic === "tick.v1" || delivery.topic === "dead-letter")
    throw new StatusError("UNIMPLEMENTED", `${name} does not hear ${delivery.topic}`);
  const answer = await handle(steps[name], { ...delivery, type: delivery.topic }, ports, timing);
  if (answer === "later") throw new StatusError("UNAVAILABLE", "later");
}

for (const name of Object.keys(steps) as StepFunction[])
  cloudEvent(name, (event: CloudEvent<unknown>) => deliver(name, unpack(event, routes[name])));

cloudEvent("relay", async (event: CloudEvent<unknown>) => {
  const delivery = unpack(event, routes.relay);
  if (delivery.topic === "dead-letter") await buried(delivery, ports, timing);
  else await relay(ports, timing);
});

cloudEvent("watch", async (event: CloudEvent<unknown>) => {
  unpack(event, routes.watch);
  await watch(ports);
});
