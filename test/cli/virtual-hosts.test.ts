/** Virtual hosts, their properties and limits. */
import { expect, test } from "vitest";
import { api, newVirtualHost } from "../management/api.ts";
import { areForeign, newName, printed, rabbitmqctl, refused, virtualHostName } from "./tools.ts";

test("G3 add_vhost with its properties, list_vhosts and delete_vhost", async () => {
  const vhost = virtualHostName();
  const properties = ["--description", "d", "--tags", "a,b", "--default-queue-type", "quorum"];
  const says = `Adding vhost "${vhost}" ...`;
  expect(await rabbitmqctl("add_vhost", vhost, ...properties)).toEqual(printed(says));
  expect(await rabbitmqctl("add_vhost", vhost)).toEqual(printed(says));
  const list = await rabbitmqctl("list_vhosts", "name", "tracing", "description", "tags");
  const lines = list.out.split("\n");
  expect(lines.slice(0, 2)).toEqual(["Listing vhosts ...", "name\ttracing\tdescription\ttags"]);
  expect(lines).toContain(`${vhost}\tfalse\td\t[a, b]`);
  expect((await rabbitmqctl("list_vhosts", "-s")).out.split("\n")).toContain(vhost);
  const json = JSON.parse((await rabbitmqctl("list_vhosts", "--formatter", "json")).out);
  expect(json).toContainEqual({ name: vhost });
  const deleting = `Deleting vhost "${vhost}" ...`;
  expect(await rabbitmqctl("delete_vhost", vhost)).toEqual(printed(deleting));
  expect(await rabbitmqctl("delete_vhost", vhost)).toEqual(
    refused(65, [deleting], `Virtual host '${vhost}' does not exist`),
  );
});

test("G3 restart_vhost has nothing to do for one that runs", async () => {
  const vhost = await newVirtualHost();
  expect(await rabbitmqctl("restart_vhost", "-p", vhost)).toEqual(
    printed(
      `Trying to restart vhost '${vhost}' on node 'NODE' ...`,
      `Vhost '${vhost}' is already running on node 'NODE'`,
    ),
  );
});

test.skipIf(areForeign)(
  "G3 update_vhost_metadata, enable_vhost_deletion_protection and disable_vhost_deletion_protection change it",
  async () => {
    const vhost = await newVirtualHost();
    const there = await api();
    const path = `vhosts/${vhost}`;
    const args = ["update_vhost_metadata", vhost, "--description", "z"];
    expect(await rabbitmqctl(...args)).toMatchObject({ code: 0 });
    expect((await there.get(path)).body.description).toBe("z");
    await rabbitmqctl("enable_vhost_deletion_protection", vhost);
    expect(await rabbitmqctl("delete_vhost", vhost)).toMatchObject({ code: 69 });
    await rabbitmqctl("disable_vhost_deletion_protection", vhost);
    expect(await rabbitmqctl("delete_vhost", vhost)).toMatchObject({ code: 0 });
  },
);

test("G3 M2 trace_on and trace_off", async () => {
  const vhost = await newVirtualHost();
  const tracing = async () => (await (await api()).get(`vhosts/${vhost}`)).body.tracing;
  expect(await rabbitmqctl("trace_on", "-p", vhost)).toEqual(
    printed(`Starting tracing for vhost "${vhost}" ...`, `Trace enabled for vhost ${vhost}`),
  );
  expect(await tracing()).toBe(true);
  expect(await rabbitmqctl("trace_off", "-p", vhost)).toEqual(
    printed(`Stopping tracing for vhost "${vhost}" ...`, `Trace disabled for vhost ${vhost}`),
  );
  expect(await tracing()).toBe(false);
});

test("G3 set_vhost_limits, list_vhost_limits and clear_vhost_limits", async () => {
  const vhost = await newVirtualHost();
  const limits = '{"max-queues":50}';
  expect(await rabbitmqctl("set_vhost_limits", "-p", vhost, limits)).toEqual(
    printed(`Setting vhost limits to "${limits}" for vhost "${vhost}" ...`),
  );
  const says = `Listing limits for vhost "${vhost}" ...`;
  expect(await rabbitmqctl("list_vhost_limits", "-p", vhost)).toEqual(printed(says, limits));
  const all = await rabbitmqctl("list_vhost_limits", "--global");
  expect(all.out.split("\n")).toContain(`${vhost}\t${limits}`);
  expect(await rabbitmqctl("clear_vhost_limits", "-p", vhost)).toEqual(
    printed(`Clearing vhost "${vhost}" limits ...`),
  );
  expect(await rabbitmqctl("list_vhost_limits", "-p", vhost)).toEqual(printed(says, ""));
});

test("G3 set_vhost_limits refuses what is no limit, and a virtual host that is not there", async () => {
  const vhost = await newVirtualHost();
  const wrong = '{"max-x":50}';
  expect(await rabbitmqctl("set_vhost_limits", "-p", vhost, wrong)).toEqual(
    refused(
      69,
      [`Setting vhost limits to "${wrong}" for vhost "${vhost}" ...`],
      ...["Error:", "Validation failed", "", 'Unrecognised terms [{<<"max-x">>,50}] in limits'],
      "",
    ),
  );
  const nowhere = newName("nowhere");
  expect(await rabbitmqctl("set_vhost_limits", "-p", nowhere, "{}")).toEqual(
    refused(
      65,
      [`Setting vhost limits to "{}" for vhost "${nowhere}" ...`],
      `Virtual host '${nowhere}' does not exist`,
    ),
  );
});
