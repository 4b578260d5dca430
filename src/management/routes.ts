/** The table of all routes. One more is one row in the file of its subject. */

import { alivenessRoutes } from "./aliveness.ts";
import { bindingRoutes } from "./bindings.ts";
import { channelRoutes } from "./channels.ts";
import { connectionRoutes } from "./connections.ts";
import { controlRoutes } from "./control.ts";
import { definitionRoutes } from "./definitions.ts";
import { exchangeRoutes } from "./exchanges.ts";
import { healthRoutes } from "./health-checks.ts";
import { limitRoutes } from "./limits.ts";
import { openApiDocument } from "./openapi.ts";
import { overviewRoutes } from "./overview.ts";
import { parameterRoutes } from "./parameters.ts";
import { permissionRoutes } from "./permissions.ts";
import { policyRoutes } from "./policies.ts";
import { queueRoutes } from "./queues.ts";
import { ok, type Route } from "./route.ts";
import { singleNodeRoutes } from "./single-node.ts";
import { userRoutes } from "./users.ts";
import { virtualHostRoutes } from "./virtual-hosts.ts";

export const routes: readonly Route[] = [
  ...overviewRoutes,
  ...healthRoutes,
  ...alivenessRoutes,
  ...virtualHostRoutes,
  ...userRoutes,
  ...permissionRoutes,
  ...limitRoutes,
  ...queueRoutes,
  ...exchangeRoutes,
  ...bindingRoutes,
  ...connectionRoutes,
  ...channelRoutes,
  ...policyRoutes,
  ...parameterRoutes,
  ...controlRoutes,
  ...singleNodeRoutes,
  ...definitionRoutes,
  {
    method: "GET",
    path: "/api/openapi.json",
    needs: "management",
    summary: "This document",
    handle: () => ok(openApiDocument(routes)),
  },
];
