/** Policies, operator policies, parameters and the cluster's name. */
import { expect, onTestFinished, test } from "vitest";
import { api, newVirtualHost } from "../management/api.ts";
import { areForeign, newName, printed, rabbitmqctl, refused } from "./tools.ts";

const definition = '{"max-length":5}';

test("G3 set_policy, list_policies and clear_policy", async () => {
  const vhost = await newVirtualHost();
  expect(await rabbitmqctl("set_policy", "-p", vhost, "one", "^q", definition)).toEqual(
    printed(
      `Setting policy "one" for pattern "^q" to "${definition}" with priority "0" for vhost "${vhost}" ...`,
    ),
  );
  const more = ["--priority", "-3", "--apply-to", "queues"];
  expect(await rabbitmqctl("set_policy", "-p", vhost, ...more, "two", "^z", definition)).toEqual(
    printed(
      `Setting policy "two" for pattern "^z" to "${definition}" with priority "-3" for vhost "${vhost}" ...`,
    ),
  );
  const says = `Listing policies for vhost "${vhost}" ...`;
  const lines = (await rabbitmqctl("list_policies", "-p", vhost)).out.split("\n");
  expect(lines.slice(0, 2)).toEqual([says, "vhost\tname\tpattern\tapply-to\tdefinition\tpriority"]);
  // RabbitMQ has no order.
  expect(lines.slice(2).sort()).toEqual([
    "",
    `${vhost}\tone\t^q\tall\t${definition}\t0`,
    `${vhost}\ttwo\t^z\tqueues\t${definition}\t-3`,
  ]);
  const json = await rabbitmqctl("list_policies", "-p", vhost, "--formatter", "json");
  expect(JSON.parse(json.out)).toContainEqual({
    ...{ vhost, name: "one", pattern: "^q", "apply-to": "all", definition, priority: 0 },
  });
  const clearing = [`Clearing policy "one" on vhost "${vhost}" ...`];
  expect(await rabbitmqctl("clear_policy", "-p", vhost, "one")).toEqual(printed(...clearing));
  expect(await rabbitmqctl("clear_policy", "-p", vhost, "one")).toEqual(
    refused(69, clearing, "Error:", "Parameter does not exist"),
  );
  await rabbitmqctl("clear_policy", "-p", vhost, "two");
  expect(await rabbitmqctl("list_policies", "-p", vhost)).toEqual(printed(says, ""));
  expect(await rabbitmqctl("list_policies", "-p", vhost, "--formatter", "json")).toEqual(
    printed("[]"),
  );
});

test("G3 set_policy says what is wrong", async () => {
  const vhost = await newVirtualHost();
  const says = (value: string, pattern = "^q"): string[] => [
    `Setting policy "p" for pattern "${pattern}" to "${value}" with priority "0" for vhost "${vhost}" ...`,
  ];
  const set = (value: string, pattern = "^q") =>
    rabbitmqctl("set_policy", "-p", vhost, "p", pattern, value);
  expect(await set('{"max-lengt":5}')).toEqual(
    refused(
      69,
      says('{"max-lengt":5}'),
      ...["Error:", "Validation failed", ""],
      ...['[{<<"max-lengt">>,5}] are not recognised policy settings', ""],
    ),
  );
  expect(await set("nojson")).toEqual(
    refused(69, says("nojson"), "Error:", "JSON decoding error. Reason: badarg"),
  );
  expect(await set(definition, "(")).toMatchObject({
    code: 69,
    error: expect.stringContaining("Validation failed"),
  });
  expect(await rabbitmqctl("set_policy", "--priority", "x", "p", "^q", definition)).toMatchObject({
    code: 64,
    error: expect.stringContaining(
      "Error (argument validation): Invalid options for this command:\n--priority : x\n",
    ),
  });
  const nowhere = newName("nowhere");
  expect(await rabbitmqctl("set_policy", "-p", nowhere, "p", "^q", definition)).toMatchObject({
    code: 65,
    error: `Virtual host '${nowhere}' does not exist\n`,
  });
});

test("G3 set_operator_policy, list_operator_policies and clear_operator_policy", async () => {
  const vhost = await newVirtualHost();
  expect(await rabbitmqctl("set_operator_policy", "-p", vhost, "p", "^q", definition)).toEqual(
    printed(
      `Setting operator policy override "p" for pattern "^q" to "${definition}" with priority "0" for vhost "${vhost}" ...`,
    ),
  );
  const list = await rabbitmqctl("list_operator_policies", "-p", vhost);
  expect(list.out.split("\n")).toEqual([
    `Listing operator policy overrides for vhost "${vhost}" ...`,
    "vhost\tname\tpattern\tapply-to\tdefinition\tpriority",
    // RabbitMQ 3.10 applies them to all, which means queues.
    expect.stringMatching(/^\S+\tp\t\^q\t(all|queues)\t\{"max-length":5\}\t0$/),
    "",
  ]);
  expect(await rabbitmqctl("clear_operator_policy", "-p", vhost, "p")).toEqual(
    printed(`Clearing operator policy "p" on vhost "${vhost}" ...`),
  );
});

test("G3 set_parameter, list_parameters and clear_parameter", async () => {
  const vhost = await newVirtualHost();
  const value = '{"max-queues":5}';
  const parameter = ["-p", vhost, "vhost-limits", "limits"];
  expect(await rabbitmqctl("set_parameter", ...parameter, value)).toEqual(
    printed(
      `Setting runtime parameter "limits" for component "vhost-limits" to "${value}" in vhost "${vhost}" ...`,
    ),
  );
  expect(await rabbitmqctl("list_parameters", "-p", vhost)).toEqual(
    printed(
      `Listing runtime parameters for vhost "${vhost}" ...`,
      "component\tname\tvalue",
      `vhost-limits\tlimits\t${value}`,
    ),
  );
  const clearing = `Clearing runtime parameter "limits" for component "vhost-limits" on vhost "${vhost}" ...`;
  expect(await rabbitmqctl("clear_parameter", ...parameter)).toEqual(printed(clearing));
  expect(await rabbitmqctl("clear_parameter", ...parameter)).toEqual(
    refused(69, [clearing], "Error:", "Parameter does not exist"),
  );
  expect(await rabbitmqctl("set_parameter", "-p", vhost, "nothing", "p", "{}")).toEqual(
    refused(
      69,
      [`Setting runtime parameter "p" for component "nothing" to "{}" in vhost "${vhost}" ...`],
      ...["Error:", "Validation failed", "", "component nothing not found", ""],
    ),
  );
});

test("G3 set_global_parameter, list_global_parameters and clear_global_parameter", async () => {
  const name = newName("parameter");
  expect(await rabbitmqctl("set_global_parameter", name, '{"a":1}')).toEqual(
    printed(`Setting global runtime parameter "${name}" to "{"a":1}" ...`),
  );
  const list = await rabbitmqctl("list_global_parameters");
  expect(list.out.split("\n").slice(0, 2)).toEqual([
    "Listing global runtime parameters ...",
    "name\tvalue",
  ]);
  expect(list.out.split("\n")).toContain(`${name}\t{"a":1}`);
  const clearing = `Clearing global runtime parameter "${name}" ...`;
  expect(await rabbitmqctl("clear_global_parameter", name)).toEqual(printed(clearing));
  expect(await rabbitmqctl("clear_global_parameter", name)).toEqual(
    refused(69, [clearing], "Error:", "Parameter does not exist"),
  );
});

test.skipIf(areForeign)("G3 set_cluster_name names the cluster", async () => {
  const there = await api();
  const { name: before } = (await there.get("cluster-name")).body;
  onTestFinished(async () => void (await there.put("cluster-name", { name: before })));
  expect(await rabbitmqctl("set_cluster_name", "bunnies")).toEqual(
    printed("Setting cluster name to bunnies ..."),
  );
  expect((await there.get("cluster-name")).body).toEqual({ name: "bunnies" });
});
