/** Joins the management API to a broker and its process. It is loaded with the first request. */

import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { Application, type Handle } from "./management/application.ts";
import type { ManagementContext, PortCertificate } from "./management/context.ts";
import { Statistics } from "./management/statistics.ts";
import { processFacts } from "./process-facts.ts";

type Given = Omit<ManagementContext, "statistics" | "certificates" | "processFacts">;

/** The certificate of the ports with TLS; it is read anew each time, since it may have been replaced. */
function certificates(file: string | undefined): readonly PortCertificate[] {
  if (file === undefined) return [];
  const { validTo } = new X509Certificate(readFileSync(file));
  return [{ file, notAfterMs: Date.parse(validTo) }];
}

export async function managementHandle(given: Given): Promise<Handle> {
  const { host } = given;
  const application = await Application.create({
    ...given,
    statistics: new Statistics(host),
    certificates: () => certificates(host.settings.tlsCertFile),
    processFacts,
  });
  return application.handle;
}
