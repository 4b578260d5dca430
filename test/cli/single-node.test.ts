/** What the tools say of clusters and replicas where there is one node. */
import { expect, onTestFinished, test } from "vitest";
import { Broker } from "../../src/index.ts";
import { api, newVirtualHost } from "../management/api.ts";
import {
  areForeign,
  printed,
  rabbitmqctl,
  rabbitmqDiagnostics,
  rabbitmqQueues,
  rabbitmqUpgrade,
  refused,
  run,
} from "./tools.ts";

const ALONE =
  "Node NODE seems to be the only one in a single node cluster, the check does not apply";

test("G3 G4 check_if_node_is_quorum_critical and check_if_node_is_mirror_sync_critical do not apply", async () => {
  expect(await rabbitmqQueues("-q", "check_if_node_is_quorum_critical")).toEqual(printed(ALONE));
  expect(await rabbitmqDiagnostics("check_if_node_is_mirror_sync_critical")).toEqual(
    printed(
      "Checking if node NODE is critical for data safety of any classic mirrored queues ...",
      ALONE,
    ),
  );
});

test("G3 await_online_quorum_plus_one, await_online_synchronized_mirror, post_upgrade and rebalance end at once", async () => {
  const applies =
    "Target node seems to be the only one in a single node cluster, the command does not apply";
  expect(await rabbitmqUpgrade("await_online_quorum_plus_one")).toEqual(
    printed(
      "Will wait for a quorum + 1 of nodes to be online for all quorum queues for 120 seconds...",
      applies,
    ),
  );
  expect(await rabbitmqUpgrade("-q", "await_online_quorum_plus_one")).toEqual(printed());
  const mirrors = await rabbitmqUpgrade("await_online_synchronized_mirror");
  expect({ code: mirrors.code, last: mirrors.out.split("\n").at(-2) }).toEqual({
    ...{ code: 0, last: applies },
  });
  const upgraded = await rabbitmqUpgrade("post_upgrade");
  expect(upgraded.out).toMatch(/^Executing post upgrade tasks\.\.\.\n/);
  const rebalanced = await rabbitmqQueues("rebalance", "all");
  expect(rebalanced.out).toMatch(/^Re-balancing leaders of all queues\.\.\.\n/);
});

test("G4 resolve_hostname and cipher_suites", async () => {
  expect(await rabbitmqDiagnostics("resolve_hostname", "127.0.0.1")).toEqual(
    printed("Asking node NODE to resolve hostname 127.0.0.1 to IPv4 addresses...", "127.0.0.1"),
  );
  const { out } = await rabbitmqDiagnostics("cipher_suites");
  expect(out).toMatch(/^Listing available cipher suites in OpenSSL format\n(.*\n)*TLS_AES_256_GCM/);
});

test("G3 environment and list_hashes", async () => {
  const { out } = await rabbitmqctl("environment");
  expect(out).toMatch(/^Application environment of node NODE \.\.\.\n\[\{/);
  expect(out).toContain("{disk_free_limit,");
  expect((await rabbitmqctl("list_hashes")).out).toMatch(
    /^Listing supported hash algorithms \.\.\.\n\[/,
  );
});

test("G3 quorum_status of a quorum queue, and of what is none", async () => {
  const vhost = await newVirtualHost();
  const args = { "x-queue-type": "quorum" };
  await (await api()).put(`queues/${vhost}/q`, { durable: true, arguments: args });
  const { code, out } = await rabbitmqQueues("quorum_status", "-p", vhost, "q");
  expect(code).toBe(0);
  expect(out).toMatch(/^Status of quorum queue q on node NODE \.\.\.\n/);
  expect(await rabbitmqQueues("-q", "quorum_status", "-p", vhost, "nope")).toEqual(
    refused(69, [], "Error:", "not_found"),
  );
});

test.skipIf(areForeign)(
  "G3 force_boot, update_cluster_nodes, change_cluster_node_type, sync_queue, cancel_sync_queue, delete_shovel, grow and shrink do nothing",
  async () => {
    expect(await rabbitmqctl("sync_queue", "q")).toEqual(
      printed("Synchronising queue 'q' in vhost '/' ..."),
    );
    for (const args of [
      ...[["force_boot"], ["update_cluster_nodes", "n"], ["change_cluster_node_type", "disc"]],
      ...[
        ["cancel_sync_queue", "q"],
        ["delete_shovel", "s"],
      ],
    ])
      expect([args, await rabbitmqctl("-q", ...args)]).toEqual([args, printed()]);
    for (const args of [
      ["grow", "n", "all"],
      ["shrink", "n"],
    ])
      expect([args, await rabbitmqQueues("-q", ...args)]).toEqual([args, printed()]);
  },
);

test.skipIf(areForeign)(
  "G3 join_cluster, forget_cluster_node and rename_cluster_node say that they are not applicable",
  async () => {
    for (const name of ["join_cluster", "forget_cluster_node", "rename_cluster_node"])
      expect(await rabbitmqctl("-q", name, "rabbit@other")).toEqual(
        refused(69, [], "Error:", "not applicable to a single-node broker"),
      );
  },
);

test.skipIf(areForeign)("G3 drain keeps clients out until revive", async () => {
  const broker = await Broker.start({ port: 0, managementPort: 0 });
  onTestFinished(() => broker.close());
  const environment = { LEVERET_MANAGEMENT_URL: broker.managementUrl! };
  const check = () => run("rabbitmq-diagnostics", ["check_running"], { environment });
  expect(await run("rabbitmq-upgrade", ["-q", "drain"], { environment })).toEqual(
    printed("Node NODE is now in maintenance mode"),
  );
  expect(await check()).toMatchObject({ code: 69 });
  expect(await run("rabbitmq-upgrade", ["-q", "revive"], { environment })).toEqual(
    printed("Node NODE is now out of maintenance mode"),
  );
  expect(await check()).toMatchObject({ code: 0 });
});
