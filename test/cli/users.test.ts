/** Users, their passwords, tags and limits. */
import { expect, test } from "vitest";
import { api, newUser } from "../management/api.ts";
import { areForeign, newName, printed, rabbitmqctl, refused, run, userName } from "./tools.ts";

const DONE =
  "Done. Don't forget to grant the user permissions to some virtual hosts! See 'rabbitmqctl help set_permissions' to learn more.";

test("G3 add_user adds one who can log in and has no tags, once", async () => {
  const user = userName();
  expect(await rabbitmqctl("add_user", user, "s3cret")).toEqual(
    printed(`Adding user "${user}" ...`, DONE),
  );
  expect(await rabbitmqctl("authenticate_user", user, "s3cret")).toMatchObject({ code: 0 });
  const { body } = await (await api()).get(`users/${user}`);
  expect(body.tags).toEqual([]);
  expect(await rabbitmqctl("add_user", user, "other")).toEqual(
    refused(70, [`Adding user "${user}" ...`], "Error:", `User "${user}" already exists`),
  );
});

test("G3 add_user wants a password, of the standard input where it is no argument", async () => {
  const user = userName();
  expect(await rabbitmqctl("add_user", user)).toEqual(
    refused(
      65,
      [`Adding user "${user}" ...`, "Password: "],
      "Error:",
      "Password is not provided via argument or stdin",
    ),
  );
  if (areForeign) return;
  const input = "s3cret\nmore\n";
  expect(await run("rabbitmqctl", ["-q", "add_user", user], { input })).toMatchObject({ code: 0 });
  expect(await rabbitmqctl("authenticate_user", user, "s3cret")).toMatchObject({ code: 0 });
});

test.skipIf(areForeign)("G3 add_user takes a hash that hash_password has made", async () => {
  const user = userName();
  const { out } = await rabbitmqctl("-q", "hash_password", "s3cret");
  expect(out).toMatch(/^[A-Za-z0-9+/]{48}\n$/);
  const args = ["add_user", user, out.trim(), "--pre-hashed-password"];
  expect(await rabbitmqctl(...args)).toMatchObject({ code: 0 });
  expect(await rabbitmqctl("authenticate_user", user, "s3cret")).toMatchObject({ code: 0 });
});

test("G3 delete_user deletes one who is there", async () => {
  const { user } = await newUser("");
  const says = `Deleting user "${user}" ...`;
  expect(await rabbitmqctl("delete_user", user)).toEqual(printed(says));
  expect(await rabbitmqctl("delete_user", user)).toEqual(
    refused(67, [says], "Error:", `User "${user}" does not exist`),
  );
});

test("G3 change_password leaves the tags, and clear_password lets nobody in", async () => {
  const { user } = await newUser("monitoring");
  expect(await rabbitmqctl("change_password", user, "new")).toEqual(
    printed(`Changing password for user "${user}" ...`),
  );
  expect(await rabbitmqctl("authenticate_user", user, "new")).toMatchObject({ code: 0 });
  expect((await (await api()).get(`users/${user}`)).body.tags).toEqual(["monitoring"]);
  expect(await rabbitmqctl("clear_password", user)).toEqual(
    printed(`Clearing password for user "${user}" ...`),
  );
  expect(await rabbitmqctl("authenticate_user", user, "new")).toMatchObject({ code: 65 });
  const nobody = newName("nobody");
  expect(await rabbitmqctl("change_password", nobody, "x")).toEqual(
    refused(
      67,
      [`Changing password for user "${nobody}" ...`],
      "Error:",
      `User "${nobody}" does not exist`,
    ),
  );
});

test("G3 authenticate_user tells whether a password is right, of users without tags too", async () => {
  const { user } = await newUser("");
  const says = `Authenticating user "${user}" ...`;
  expect(await rabbitmqctl("authenticate_user", user, "correct horse")).toEqual(
    printed(says, "Success"),
  );
  expect(await rabbitmqctl("authenticate_user", user, "wrong")).toEqual(
    refused(
      65,
      [says],
      "Error:",
      `Error: failed to authenticate user "${user}"`,
      `user '${user}' - invalid credentials`,
    ),
  );
});

test("G3 set_user_tags replaces the tags and leaves the password", async () => {
  const { user } = await newUser("administrator");
  expect(await rabbitmqctl("set_user_tags", user, "monitoring", "policymaker")).toEqual(
    printed(`Setting tags for user "${user}" to [monitoring, policymaker] ...`),
  );
  const { body } = await (await api()).get(`users/${user}`);
  expect([...body.tags].sort()).toEqual(["monitoring", "policymaker"]);
  expect(await rabbitmqctl("authenticate_user", user, "correct horse")).toMatchObject({ code: 0 });
  expect(await rabbitmqctl("set_user_tags", user)).toEqual(
    printed(`Setting tags for user "${user}" to [] ...`),
  );
  expect((await (await api()).get(`users/${user}`)).body.tags).toEqual([]);
});

test("G3 list_users lists names and tags", async () => {
  const { user } = await newUser("monitoring,policymaker");
  const { code, out } = await rabbitmqctl("list_users");
  expect(code).toBe(0);
  const lines = out.split("\n");
  expect(lines.slice(0, 2)).toEqual(["Listing users ...", "user\ttags"]);
  expect(lines).toContain("guest\t[administrator]");
  expect(lines).toContain(`${user}\t[monitoring, policymaker]`);
  const json = await rabbitmqctl("list_users", "--formatter", "json");
  expect(JSON.parse(json.out)).toContainEqual({ user, tags: ["monitoring", "policymaker"] });
});

test("G3 set_user_limits, list_user_limits and clear_user_limits", async () => {
  const { user } = await newUser("");
  const limits = '{"max-connections":5}';
  expect(await rabbitmqctl("set_user_limits", user, limits)).toEqual(
    printed(`Setting user limits to "${limits}" for user "${user}" ...`),
  );
  expect(await rabbitmqctl("list_user_limits", "--user", user)).toEqual(
    printed(`Listing limits for user "${user}" ...`, limits),
  );
  const all = await rabbitmqctl("list_user_limits", "--global");
  expect(all.out.split("\n").slice(0, 2)).toEqual([
    "Listing limits for all users ...",
    "user\tlimits",
  ]);
  expect(all.out.split("\n")).toContain(`${user}\t${limits}`);
  expect(await rabbitmqctl("clear_user_limits", user, "all")).toEqual(
    printed(`Clearing all limits for user "${user}" ...`),
  );
  expect(await rabbitmqctl("-q", "list_user_limits", "--user", user)).toEqual(printed("{}"));
  expect(await rabbitmqctl("clear_user_limits", user, "max-channels")).toEqual(
    printed(`Clearing "max-channels" limit for user "${user}" ...`),
  );
});
