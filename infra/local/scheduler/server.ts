import { setTimeout as sleep } from "node:timers/promises";
import {
  type handleUnaryCall,
  Server,
  ServerCredentials,
  status,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { asStatusError, StatusError } from "../../../shared/error.ts";
import { openJobStore } from "./job-store.ts";
import { type Clock, type Publish, startRunner } from "./runner.ts";
import { schedulerOf } from "./service.ts";
import { schedulerService } from "./wire.ts";

export interface SchedulerOptions {
  /** Where its jobs are kept. */
  directory: string;
  /** Port on 127.0.0.1; 0 for any. */
  port: number;
  /** The project whose jobs it holds. */
  projectId: string;
  publish: Publish;
  /** Real time where absent. */
  clock?: Clock;
}

export interface SchedulerServer {
  /** "127.0.0.1:PORT" */
  host: string;
  port: number;
  stop(): Promise<void>;
}

const realClock: Clock = {
  now: Date.now,
  sleep: (ms, signal) => sleep(Math.max(0, ms), undefined, { signal }).catch(() => undefined),
};

/**
 * Cloud Scheduler on loopback: the gRPC API of google.cloud.scheduler.v1 with Pub/Sub targets. Jobs survive a restart.
 * Any other method is answered with UNIMPLEMENTED and its name. Throws UNAVAILABLE where the port is taken.
 */
export async function startScheduler(options: SchedulerOptions): Promise<SchedulerServer> {
  const { directory, projectId, publish, clock = realClock } = options;
  const store = openJobStore(directory);
  const server = new Server();
  const port = await listen(server, options.port);
  const runner = startRunner(store, publish, clock);
  const service = schedulerOf(projectId, store, runner, clock);
  server.addService(schedulerService(), {
    createJob: unary(service.createJob),
    getJob: unary(service.getJob),
    listJobs: unary(service.listJobs),
    updateJob: unary(service.updateJob),
    deleteJob: unary(service.deleteJob),
    pauseJob: unary(service.pauseJob),
    resumeJob: unary(service.resumeJob),
    runJob: unary(service.runJob),
  } satisfies UntypedServiceImplementation);
  return {
    host: `127.0.0.1:${port}`,
    port,
    async stop() {
      runner.stop();
      server.forceShutdown();
    },
  };
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(new StatusError("UNAVAILABLE", `the scheduler cannot listen on 127.0.0.1:${port}: ${error.message}`));
    });
  });
}

function unary<Request, Response>(method: (request: Request) => Response): handleUnaryCall<Request, Response> {
  return (call, callback) => {
    try {
      callback(null, method(call.request));
    } catch (error) {
      const { code, message } = asStatusError(error);
      callback({ code: status[code], details: message });
    }
  };
}
