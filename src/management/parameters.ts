/** Runtime parameters, global ones, and the name of the cluster, which is one of these. */

import type { Json } from "../broker/erlang-term.ts";
import type { Parameter } from "../broker/parameters.ts";
import { notAuthorised, nothingThere } from "./http-error.ts";
import { given, require, requiredText } from "./input.ts";
import { listing } from "./listing.ts";
import { writableVirtualHost } from "./queues.ts";
import { type Call, done, ok, put, type Reply, type Route } from "./route.ts";
import { isAdministrator } from "./tags.ts";

/** Components that are the administrators' alone. */
const administrators = ["operator_policy", "vhost-limits"];

function listParameters(call: Call): Reply {
  const component = call.parameter("component");
  const visible = new Set([...call.visibleVirtualHosts()].map(({ name }) => name));
  const rows = [...call.host.parameters.all()].filter(
    (each) => visible.has(each.vhost) && (component === "" || each.component === component),
  );
  return ok(
    listing(
      rows.map((row) => ({ ...row })),
      call.query,
    ),
  );
}

function parameterOf(call: Call): Parameter {
  const { parameters } = call.host;
  const found = parameters.find(
    call.vhost.name,
    call.parameter("component"),
    call.parameter("name"),
  );
  if (found === undefined) throw nothingThere();
  return found;
}

/** Operator policies and limits can be reached as parameters, and need the same tag there as elsewhere. */
function checkComponent(call: Call): string {
  const component = call.parameter("component");
  if (administrators.includes(component) && !isAdministrator(call.user))
    throw notAuthorised("Not administrator user");
  return component;
}

function putParameter(call: Call): Reply {
  const component = checkComponent(call);
  const { name: vhost } = writableVirtualHost(call);
  const name = call.parameter("name");
  require(call.json, "value");
  const isNew = call.host.parameters.find(vhost, component, name) === undefined;
  call.host.parameters.set(vhost, component, name, given(call.json, "value") as Json);
  return put(isNew);
}

function deleteParameter(call: Call): Reply {
  const component = checkComponent(call);
  const { vhost, name } = parameterOf(call);
  call.host.parameters.clear(vhost, component, name);
  return done;
}

function listGlobal({ host, query }: Call): Reply {
  return ok(listing([...host.globalParameters.all()], query));
}

function getGlobal(call: Call): Reply {
  const name = call.parameter("name");
  const value = call.host.globalParameters.find(name);
  if (value === undefined) throw nothingThere();
  return ok({ name, value });
}

function putGlobal(call: Call): Reply {
  const name = call.parameter("name");
  require(call.json, "value");
  const { globalParameters } = call.host;
  const isNew = globalParameters.find(name) === undefined;
  globalParameters.set(name, given(call.json, "value") as Json);
  return put(isNew);
}

function deleteGlobal(call: Call): Reply {
  const { globalParameters } = call.host;
  const name = call.parameter("name");
  if (globalParameters.find(name) === undefined) throw nothingThere();
  globalParameters.clear(name);
  return done;
}

function putClusterName({ host, json }: Call): Reply {
  host.globalParameters.set("cluster_name", requiredText(json, "name"));
  return done;
}

const onePath = "/api/parameters/:component/:vhost/:name";
const globalPath = "/api/global-parameters/:name";

export const parameterRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/api/parameters",
    needs: "policymaker",
    summary: "The runtime parameters in all virtual hosts that the user may see",
    handle: listParameters,
  },
  {
    method: "GET",
    path: "/api/parameters/:component",
    needs: "policymaker",
    summary: "The runtime parameters of a component",
    handle: listParameters,
  },
  {
    method: "GET",
    path: "/api/parameters/:component/:vhost",
    needs: "policymaker",
    summary: "The runtime parameters of a component in a virtual host",
    handle: listParameters,
  },
  {
    method: "GET",
    path: onePath,
    needs: "policymaker",
    summary: "A runtime parameter",
    handle: (call) => ok(parameterOf(call)),
  },
  {
    method: "PUT",
    path: onePath,
    needs: "policymaker",
    summary: "Sets a runtime parameter",
    handle: putParameter,
  },
  {
    method: "DELETE",
    path: onePath,
    needs: "policymaker",
    summary: "Removes a runtime parameter",
    handle: deleteParameter,
  },
  {
    method: "GET",
    path: "/api/global-parameters",
    needs: "policymaker",
    summary: "All global parameters",
    handle: listGlobal,
  },
  {
    method: "GET",
    path: globalPath,
    needs: "policymaker",
    summary: "A global parameter",
    handle: getGlobal,
  },
  {
    method: "PUT",
    path: globalPath,
    needs: "policymaker",
    summary: "Sets a global parameter",
    handle: putGlobal,
  },
  {
    method: "DELETE",
    path: globalPath,
    needs: "policymaker",
    summary: "Removes a global parameter",
    handle: deleteGlobal,
  },
  {
    method: "GET",
    path: "/api/cluster-name",
    needs: "management",
    summary: "The name of the cluster",
    handle: ({ host }) => ok({ name: host.clusterName }),
  },
  {
    method: "PUT",
    path: "/api/cluster-name",
    needs: "administrator",
    summary: "Names the cluster",
    handle: putClusterName,
  },
];
