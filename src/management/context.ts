/** What the management API is about: a broker, the ports that are open, and the process it runs in. */

import type { Host } from "../broker/host.ts";
import type { Statistics } from "./statistics.ts";

/** A port that is open. */
export interface OpenPort {
  /** As RabbitMQ calls it: `amqp`, `amqp/ssl`, `http`, `http/prometheus`. */
  readonly protocol: string;
  readonly host: string;
  readonly port: number;
}

/** A certificate that a port shows to its clients. */
export interface PortCertificate {
  readonly file: string;
  readonly notAfterMs: number;
}

/** What only the process knows; a snapshot at each call. */
export interface ProcessFacts {
  readonly pid: number;
  readonly nodeVersion: string;
  readonly processors: number;
  readonly memoryUsedBytes: number;
  readonly memoryTotalBytes: number;
  /** Undefined where the system does not tell. */
  readonly filesOpen: number | undefined;
}

/** Stopping and starting the node for its clients; nothing of it touches this API. */
export interface NodeControl {
  /** Whether `stopClients` was called last. */
  readonly isStopped: boolean;
  readonly takesClients: boolean;
  suspendListeners(): void;
  resumeListeners(): Promise<void>;
  stopClients(): Promise<void>;
  startClients(): Promise<void>;
  /** Deletes everything but what exists from the start. */
  reset(): void;
}

export interface ManagementContext {
  readonly host: Host;
  readonly statistics: Statistics;
  /** All that are open, those of this API among them. */
  ports(): readonly OpenPort[];
  readonly control: NodeControl;
  certificates(): readonly PortCertificate[];
  processFacts(): ProcessFacts;
  /** Whoever has it is the operator. */
  readonly operatorKey?: string | undefined;
  readonly dataDir: string | undefined;
  readonly configFiles: readonly string[];
  readonly plugins: readonly string[];
}
