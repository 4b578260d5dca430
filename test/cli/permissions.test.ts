/** Permissions and topic permissions. */
import { expect, test } from "vitest";
import { newUser, newVirtualHost } from "../management/api.ts";
import { newName, printed, rabbitmqctl, refused } from "./tools.ts";

test("G3 set_permissions, list_permissions, list_user_permissions and clear_permissions", async () => {
  const vhost = await newVirtualHost();
  const { user } = await newUser("");
  expect(await rabbitmqctl("set_permissions", "-p", vhost, user, "^x", ".*", "")).toEqual(
    printed(`Setting permissions for user "${user}" in vhost "${vhost}" ...`),
  );
  const list = await rabbitmqctl("list_permissions", "-p", vhost);
  const lines = list.out.replace(/\n$/, "").split("\n");
  expect(lines.slice(0, 2)).toEqual([
    `Listing permissions for vhost "${vhost}" ...`,
    "user\tconfigure\twrite\tread",
  ]);
  expect(lines.slice(2).sort()).toEqual(["guest\t.*\t.*\t.*", `${user}\t^x\t.*\t`]);
  expect(await rabbitmqctl("list_user_permissions", user)).toEqual(
    printed(
      `Listing permissions for user "${user}" ...`,
      "vhost\tconfigure\twrite\tread",
      `${vhost}\t^x\t.*\t`,
    ),
  );
  expect(await rabbitmqctl("list_user_permissions", user, "--formatter", "json")).toEqual(
    printed("[", `{"vhost":"${vhost}","configure":"^x","write":".*","read":""}`, "]"),
  );
  const cleared = printed(`Clearing permissions for user "${user}" in vhost "${vhost}" ...`);
  expect(await rabbitmqctl("clear_permissions", "-p", vhost, user)).toEqual(cleared);
  expect(await rabbitmqctl("clear_permissions", "-p", vhost, user)).toEqual(cleared);
  const none = await rabbitmqctl("-q", "list_user_permissions", user);
  expect(none).toMatchObject({ code: 0, out: "\n" });
});

test("G3 set_permissions wants a user, a virtual host and regular expressions", async () => {
  const vhost = await newVirtualHost();
  const { user } = await newUser("");
  const [nobody, nowhere] = [newName("nobody"), newName("nowhere")];
  const says = (who: string, where: string): string[] => [
    `Setting permissions for user "${who}" in vhost "${where}" ...`,
  ];
  expect(await rabbitmqctl("set_permissions", "-p", nowhere, user, "", "", "")).toEqual(
    refused(69, says(user, nowhere), "Error:", `Virtual host ${nowhere} does not exist`),
  );
  expect(await rabbitmqctl("set_permissions", "-p", vhost, nobody, "", "", "")).toEqual(
    refused(67, says(nobody, vhost), "Error:", `User ${nobody} does not exist`),
  );
  expect(await rabbitmqctl("set_permissions", "-p", vhost, user, "(", "", "")).toMatchObject({
    code: 69,
  });
});

test("G3 list_permissions wants a virtual host that is there", async () => {
  const nowhere = newName("nowhere");
  expect(await rabbitmqctl("list_permissions", "-p", nowhere)).toEqual(
    refused(
      65,
      [`Listing permissions for vhost "${nowhere}" ...`],
      `Virtual host '${nowhere}' does not exist`,
    ),
  );
});

test("G3 set_topic_permissions, list_topic_permissions, list_user_topic_permissions and clear_topic_permissions", async () => {
  const vhost = await newVirtualHost();
  const { user } = await newUser("");
  const args = ["-p", vhost, user, "amq.topic", "^a", "^b"];
  expect(await rabbitmqctl("set_topic_permissions", ...args)).toEqual(
    printed(`Setting topic permissions on "amq.topic" for user "${user}" in vhost "${vhost}" ...`),
  );
  expect(await rabbitmqctl("list_topic_permissions", "-p", vhost)).toEqual(
    printed(
      `Listing topic permissions for vhost "${vhost}" ...`,
      "user\texchange\twrite\tread",
      `${user}\tamq.topic\t^a\t^b`,
    ),
  );
  // RabbitMQ has no heading here.
  expect(await rabbitmqctl("list_user_topic_permissions", user)).toEqual(
    printed(`Listing topic permissions for user "${user}" ...`, `${vhost}\tamq.topic\t^a\t^b`),
  );
  expect(await rabbitmqctl("clear_topic_permissions", "-p", vhost, user, "amq.topic")).toEqual(
    printed(`Clearing topic permissions on "amq.topic" for user "${user}" in vhost "${vhost}" ...`),
  );
  expect(await rabbitmqctl("clear_topic_permissions", "-p", vhost, user)).toEqual(
    printed(`Clearing topic permissions for user "${user}" in vhost "${vhost}" ...`),
  );
  expect(await rabbitmqctl("-q", "list_topic_permissions", "-p", vhost)).toEqual(printed(""));
});
