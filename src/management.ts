/** Joins the management API and the metrics to a broker and its process. Each is loaded with its first request. */

import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Handle } from "./management/application.ts";
import type { ManagementContext, PortCertificate } from "./management/context.ts";
import { Statistics } from "./management/statistics.ts";
import { processFacts } from "./process-facts.ts";

type Given = Omit<ManagementContext, "statistics" | "certificates" | "processFacts">;

/** The certificates of the ports with TLS; they are read anew each time, since they may have been replaced. */
function certificates({ settings }: Given["host"]): readonly PortCertificate[] {
  const files = new Set([settings.tlsCertFile, settings.managementTlsCertFile]);
  files.delete(undefined);
  return [...(files as Set<string>)].map((file) => {
    const { validTo } = new X509Certificate(readFileSync(file));
    return { file, notAfterMs: Date.parse(validTo) };
  });
}

function contextOf(given: Given): ManagementContext {
  const { host } = given;
  return {
    ...given,
    statistics: new Statistics(host),
    certificates: () => certificates(host),
    processFacts,
  };
}

/** What answers on the port of the management API. */
export async function managementHandle(given: Given): Promise<Handle> {
  const { Application } = await import("./management/application.ts");
  const application = await Application.create(contextOf(given));
  return application.handle;
}

/** What answers on the port for Prometheus. */
export async function metricsHandle(given: Given): Promise<Handle> {
  const { prometheusHandle } = await import("./management/prometheus.ts");
  return prometheusHandle(contextOf(given));
}
