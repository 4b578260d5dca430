/** Plugins, with a file enabled_plugins of the test's own. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { areForeign, printed, rabbitmqPlugins, refused } from "./tools.ts";

function pluginsFile(content = "[rabbitmq_management]."): string {
  const folder = mkdtempSync(join(tmpdir(), "plugins-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "enabled_plugins");
  writeFileSync(file, `${content}\n`);
  return file;
}

const configured = [
  "The following plugins have been configured:",
  ...["  rabbitmq_management", "  rabbitmq_management_agent"],
];

/** Changes the file, of which RabbitMQ's node is told nothing. */
const offline = (file: string, command: string, ...names: string[]) =>
  rabbitmqPlugins(command, ...names, "--offline", "--enabled-plugins-file", file);

describe("G5 rabbitmq-plugins", () => {
  test("enable adds a plugin to the file", async () => {
    const file = pluginsFile();
    const { code, out } = await offline(file, "enable", "rabbitmq_mqtt");
    expect({ code, lines: out.split("\n") }).toEqual({
      code: 0,
      lines: [
        ...["Enabling plugins on node NODE:", "rabbitmq_mqtt", ...configured],
        ...["  rabbitmq_mqtt", "  rabbitmq_web_dispatch"],
        "Applying plugin configuration to NODE...",
        ...["The following plugins have been enabled:", "  rabbitmq_mqtt", "", "set 4 plugins."],
        ...["Offline change; changes will take effect at broker restart.", ""],
      ],
    });
    expect(readFileSync(file, "utf8")).toBe("[rabbitmq_management,rabbitmq_mqtt].\n");
  });

  test("enable of one that is enabled changes nothing", async () => {
    const file = pluginsFile();
    expect(await offline(file, "enable", "rabbitmq_management")).toEqual(
      printed(
        ...["Enabling plugins on node NODE:", "rabbitmq_management", ...configured],
        "  rabbitmq_web_dispatch",
        ...["Applying plugin configuration to NODE...", "Plugin configuration unchanged."],
      ),
    );
    expect(await offline(file, "enable", "rabbitmq_nope")).toEqual(
      refused(
        70,
        ["Enabling plugins on node NODE:", "rabbitmq_nope"],
        ...["Error:", "{:plugins_not_found, [:rabbitmq_nope]}"],
      ),
    );
    expect(await rabbitmqPlugins("enable")).toMatchObject({
      code: 64,
      error: expect.stringContaining("not enough arguments."),
    });
  });

  test("disable takes one, or all, from the file", async () => {
    const file = pluginsFile("[rabbitmq_management,rabbitmq_mqtt].");
    const { out } = await offline(file, "disable", "rabbitmq_mqtt");
    expect(out).toContain("The following plugins have been disabled:\n  rabbitmq_mqtt\n");
    expect(readFileSync(file, "utf8")).toBe("[rabbitmq_management].\n");
    expect((await offline(file, "disable", "--all")).out).toMatch(
      /^Disabling ALL plugins on node NODE\nAll plugins have been disabled\.\n/,
    );
    expect(readFileSync(file, "utf8")).toBe("[].\n");
  });

  test("set replaces what is in the file", async () => {
    const file = pluginsFile();
    await offline(file, "set", "rabbitmq_prometheus", "rabbitmq_stomp");
    expect(readFileSync(file, "utf8")).toBe("[rabbitmq_prometheus,rabbitmq_stomp].\n");
  });

  test.skipIf(areForeign)("enable says what is not offered, and starts nothing", async () => {
    const file = pluginsFile();
    const args = ["enable", "rabbitmq_mqtt", "--enabled-plugins-file", file];
    const { code, out, error } = await rabbitmqPlugins(...args);
    expect({ code, error }).toEqual({
      ...{ code: 0, error: "Leveret does not offer rabbitmq_mqtt: nothing is started for it\n" },
    });
    expect(out).toContain("\nstarted 1 plugins.\n");
  });

  test("list shows what is enabled, in all forms", async () => {
    const legend = [
      " Configured: E = explicitly enabled; e = implicitly enabled",
      " | Status: * = running on NODE",
      " |/",
    ];
    const { out } = await rabbitmqPlugins("list", "^rabbitmq_management");
    const lines = out.split("\n");
    expect(lines.slice(0, 4)).toEqual([
      ...['Listing plugins with pattern "^rabbitmq_management" ...', ...legend],
    ]);
    expect(lines[4]).toMatch(/^\[[Ee]\*\] rabbitmq_management +\d+\.\d+\.\d+$/);
    const minimal = await rabbitmqPlugins("list", "-q", "-e", "-m");
    expect(minimal.out.split("\n")).toContain("rabbitmq_management");
    const json = JSON.parse((await rabbitmqPlugins("list", "--formatter", "json")).out);
    expect(json.plugins).toContainEqual(
      expect.objectContaining({ name: "rabbitmq_management", running: true }),
    );
  });

  test("is_enabled is a check", async () => {
    expect(await rabbitmqPlugins("is_enabled", "rabbitmq_management")).toEqual(
      printed(
        "Asking node NODE if plugin rabbitmq_management is enabled...",
        "Plugin rabbitmq_management is enabled on node NODE",
      ),
    );
    expect(
      await rabbitmqPlugins("is_enabled", "rabbitmq_management", "rabbitmq_mqtt"),
    ).toMatchObject({
      code: 69,
      out: "Asking node NODE if plugins rabbitmq_management, rabbitmq_mqtt are enabled...\n",
      error: expect.stringMatching(
        /^Error:\nPlugin rabbitmq_mqtt is not enabled on node NODE\. Enabled plugins and dependencies: .*rabbitmq_management/,
      ),
    });
  });

  test("directories names the file", async () => {
    const file = pluginsFile();
    const args = ["directories", "-s", "--offline", "--enabled-plugins-file", file];
    const { out } = await rabbitmqPlugins(...args);
    expect(out).toContain(`Enabled plugins file: ${file}\n`);
  });
});
