/** Routes about several nodes, and about parts of RabbitMQ that one node has no need of: the answers of a cluster of one. */

import { NODE_NAME } from "../broker/host.ts";
import { nothingThere } from "./http-error.ts";
import { type Call, done, ok, type Reply, type Route } from "./route.ts";

function onlyNode(call: Call): void {
  if (call.parameter("node") !== NODE_NAME) throw nothingThere();
}

function nothingIn(call: Call): Reply {
  if (call.parameter("vhost") !== "") void call.vhost;
  return ok([]);
}

/** The one replica, which leads. */
function quorumStatus(call: Call): Reply {
  const queue = call.vhost.queues.find(call.parameter("queue"));
  if (queue === undefined || !queue.isQuorum) throw nothingThere();
  return ok([
    {
      "Node Name": NODE_NAME,
      "Raft State": "leader",
      Membership: "voter",
      "Last Log Index": queue.enqueuedCount,
      "Commit Index": queue.enqueuedCount,
      Term: 1,
    },
  ]);
}

const leaders = "/api/health/checks/quorum-queues-without-elected-leaders";

export const singleNodeRoutes: readonly Route[] = [
  {
    method: "POST",
    path: "/api/rebalance/queues",
    needs: "administrator",
    summary: "Spreads the leaders of queues over the nodes, of which there is one",
    handle: () => done,
  },
  {
    method: "DELETE",
    path: "/api/reset",
    needs: "administrator",
    summary: "Forgets the samples from which rates are made",
    handle: ({ context }) => {
      context.statistics.reset();
      return done;
    },
  },
  {
    method: "DELETE",
    path: "/api/reset/:node",
    needs: "administrator",
    summary: "Forgets the samples of a node",
    handle: (call) => {
      onlyNode(call);
      call.context.statistics.reset();
      return done;
    },
  },
  {
    method: "GET",
    path: "/api/auth/attempts/:node",
    needs: "monitoring",
    summary: "Attempts to log in, which are not counted",
    handle: (call) => {
      onlyNode(call);
      return ok([]);
    },
  },
  {
    method: "GET",
    path: "/api/queues/quorum/:vhost/:queue/status",
    needs: "management",
    summary: "The replicas of a quorum queue: always one",
    handle: quorumStatus,
  },
  {
    method: "GET",
    path: `${leaders}/vhost/:vhost`,
    needs: "management",
    summary: "Whether all quorum queues of a virtual host have leaders",
    handle: (call) => {
      void call.vhost;
      return ok({ status: "ok" });
    },
  },
  {
    method: "GET",
    path: `${leaders}/vhost/:vhost/pattern/:pattern`,
    needs: "management",
    summary: "Whether the quorum queues of a virtual host with such names have leaders",
    handle: (call) => {
      void call.vhost;
      return ok({ status: "ok" });
    },
  },
  ...["shovels", "federation-links"].flatMap((name): Route[] => [
    {
      method: "GET",
      path: `/api/${name}`,
      needs: "monitoring",
      summary: `The ${name} that run: none`,
      handle: nothingIn,
    },
    {
      method: "GET",
      path: `/api/${name}/:vhost`,
      needs: "monitoring",
      summary: `The ${name} that run in a virtual host: none`,
      handle: nothingIn,
    },
  ]),
];
