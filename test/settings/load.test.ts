/** Where settings come from, which source is stronger, and what is said of a value that is wrong or means nothing. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { type Loaded, loadSettings } from "../../src/settings/load.ts";
import { readCommandLine } from "../../src/settings/sources.ts";
import { type AllSettings, defaultsOf, settings } from "../../src/settings/table.ts";

let folder = "";

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "settings-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
});

/** Writes files into the test's folder and returns the path of the first. */
function write(files: Record<string, string>): string {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
  return join(folder, Object.keys(files)[0]!);
}

function load(args: string[] = [], environment: NodeJS.ProcessEnv = {}): Loaded {
  return loadSettings(readCommandLine(args), environment);
}

function loadConf(conf: string, environment: NodeJS.ProcessEnv = {}): Loaded {
  return load(["--config", write({ "rabbitmq.conf": conf })], environment);
}

type Sources = { flags?: string[]; environment?: NodeJS.ProcessEnv; conf?: string };
const precedence: [what: string, sources: Sources, setting: keyof AllSettings, value: unknown][] = [
  ["nothing is the default", {}, "port", 5672],
  ["a file before the default", { conf: "listeners.tcp.default = 1" }, "port", 1],
  [
    "a variable before a file",
    { environment: { RABBITMQ_NODE_PORT: "2" }, conf: "listeners.tcp.default = 1" },
    "port",
    2,
  ],
  [
    "our variable before RabbitMQ's",
    { environment: { RABBITMQ_NODE_PORT: "2", LEVERET_PORT: "3" } },
    "port",
    3,
  ],
  [
    "a flag before all",
    {
      flags: ["--port", "4"],
      environment: { LEVERET_PORT: "3" },
      conf: "listeners.tcp.default = 1",
    },
    "port",
    4,
  ],
  ["an empty variable is none", { environment: { RABBITMQ_NODE_PORT: "" } }, "port", 5672],
  ["the last line with a key", { conf: "heartbeat = 1\nheartbeat = 2" }, "heartbeat", 2],
  [
    "the more special of two keys",
    { conf: "log.console.level = debug\nlog.default.level = error" },
    "logLevel",
    "debug",
  ],
  [
    "families make lists",
    { conf: "listeners.tcp.1 = 127.0.0.1:1\nlisteners.tcp.2 = ::1:2" },
    "port",
    [
      { host: "127.0.0.1", port: 1 },
      { host: "::1", port: 2 },
    ],
  ],
  ["listeners can be off", { conf: "listeners.tcp = none" }, "port", "off"],
  [
    "names set to true make a list",
    { conf: "loopback_users.guest = true\nloopback_users.me = false" },
    "loopbackUsers",
    ["guest"],
  ],
  [
    "names all set to false make an empty list",
    { conf: "loopback_users.guest = false" },
    "loopbackUsers",
    [],
  ],
  ["a list can be none", { conf: "loopback_users = none" }, "loopbackUsers", []],
  [
    "mechanisms in their order",
    { conf: "auth_mechanisms.1 = EXTERNAL\nauth_mechanisms.2 = PLAIN" },
    "authMechanisms",
    ["EXTERNAL", "PLAIN"],
  ],
  ["versions of TLS", { conf: "ssl_options.versions.1 = tlsv1.3" }, "tlsVersions", ["tlsv1.3"]],
  ["RabbitMQ's words for levels", { environment: { RABBITMQ_LOG: "warning" } }, "logLevel", "warn"],
  ["the formatter of the console", { conf: "log.console.formatter = json" }, "logFormat", "json"],
  ["a flag without a value", { flags: ["--memory"] }, "memory", true],
  ["the same as a variable", { environment: { LEVERET_MEMORY: "true" } }, "memory", true],
  ["binary units of frame_max", { conf: "frame_max = 128KB" }, "frameMax", 131_072],
  ["the consumer timeout", { conf: "consumer_timeout = 3600000" }, "consumerTimeoutMs", 3_600_000],
  ["consumers of a channel", { conf: "consumer_max_per_channel = 3" }, "consumerMaxPerChannel", 3],
  ["who is nobody", { conf: "anonymous_login_user = none" }, "anonymousLoginUser", "none"],
  ["units of memory and disk", { conf: "disk_free_limit.absolute = 2GB" }, "diskFreeLimit", 2e9],
  [
    "objects with fields",
    {
      conf: "default_users.a.password = x,y\ndefault_users.b.tags = m,n\ndefault_users.a.vhost_pattern = ^v",
    },
    "defaultUsers",
    [
      { name: "a", password: "x,y", vhostPattern: "^v" },
      { name: "b", tags: ["m", "n"] },
    ],
  ],
  [
    "limits of new virtual hosts",
    {
      conf: "default_limits.vhosts.1.pattern = ^dev\ndefault_limits.vhosts.1.max_queues = 10",
    },
    "defaultLimits",
    [{ name: "1", pattern: "^dev", maxQueues: 10 }],
  ],
  [
    "operator policies of new virtual hosts",
    {
      conf: "default_policies.operator.cap.message_ttl = 5s\ndefault_policies.operator.cap.max_length_bytes = 1KB\ndefault_policies.operator.cap.queue_pattern = ^q",
    },
    "defaultOperatorPolicies",
    [{ name: "cap", messageTtl: 5000, maxLengthBytes: 1000, queuePattern: "^q" }],
  ],
  ["the name of the broker", { conf: "cluster_name = mine" }, "clusterName", "mine"],
  [
    "interceptors of messages",
    { conf: "message_interceptors.incoming.set_header_timestamp.overwrite = false" },
    "messageTimestampOverwrite",
    false,
  ],
  ["free space", { conf: "disk_free_limit.relative = 1.5" }, "diskFreeLimitRelative", 1.5],
  ["a watermark", { conf: "vm_memory_high_watermark.relative = 0.4" }, "memoryHighWatermark", 0.4],
  [
    "the absolute watermark before the relative one",
    { conf: "vm_memory_high_watermark.absolute = 2GB\nvm_memory_high_watermark.relative = 0.4" },
    "memoryHighWatermark",
    2e9,
  ],
  [
    "a watermark in percent",
    { environment: { RABBITMQ_VM_MEMORY_HIGH_WATERMARK: "40%" } },
    "memoryHighWatermark",
    0.4,
  ],
  ["an alias", { conf: "max_channels_per_connection = 7" }, "channelMax", 7],
  ["a quoted password", { conf: "default_pass = 'p#ss'" }, "defaultPassword", "p#ss"],
];

describe("precedence", () => {
  test.each(precedence)("%s", (_, { flags = [], environment = {}, conf }, setting, value) => {
    const config = conf === undefined ? [] : ["--config", write({ "rabbitmq.conf": conf })];
    expect(load([...config, ...flags], environment).settings[setting]).toEqual(value);
  });

  test("without any source everything is the default, and nothing is said", () => {
    const { settings: loaded, notices, files } = load();
    expect(loaded).toEqual(defaultsOf(settings));
    expect({ notices, files }).toEqual({ notices: [], files: [] });
  });

  test("G12 the variables of RabbitMQ's image set user, password and vhost", () => {
    const { settings } = load([], {
      RABBITMQ_DEFAULT_USER: "me",
      RABBITMQ_DEFAULT_PASS: "secret",
      RABBITMQ_DEFAULT_VHOST: "mine",
    });
    expect(settings).toMatchObject({
      defaultUser: "me",
      defaultPassword: "secret",
      defaultVhost: "mine",
    });
  });

  test("G12 user and password can be in files, whose last line end does not count", () => {
    const { settings } = load([], {
      RABBITMQ_DEFAULT_USER_FILE: write({ user: "me\n" }),
      RABBITMQ_DEFAULT_PASS_FILE: write({ password: " s3 cret\r\n" }),
    });
    expect(settings).toMatchObject({ defaultUser: "me", defaultPassword: " s3 cret" });
    const missing = { RABBITMQ_DEFAULT_PASS_FILE: join(folder, "no-such-file") };
    expect(() => load([], missing)).toThrow(/^RABBITMQ_DEFAULT_PASS_FILE=.*ENOENT/);
  });

  test("G11 other variables of the server are known", () => {
    const { settings } = load([], {
      RABBITMQ_NODE_IP_ADDRESS: "::",
      RABBITMQ_NODE_PORT: "5673",
      RABBITMQ_MNESIA_BASE: "/data",
    });
    expect(settings).toMatchObject({ host: "::", port: 5673, dataDir: "/data" });
  });
});

describe("files", () => {
  test("G8 conf.d is merged in the order of names, after the main file", () => {
    const config = write({
      "rabbitmq.conf": "heartbeat = 1\nchannel_max = 1\nframe_max = 5000",
      "conf.d/20-b.conf": "heartbeat = 3",
      "conf.d/10-a.conf": "heartbeat = 2\nchannel_max = 2",
      "conf.d/30-c.txt": "heartbeat = 4",
    });
    const { settings, files } = load(["--config", config]);
    expect(settings).toMatchObject({ heartbeat: 3, channelMax: 2, frameMax: 5000 });
    const names = ["rabbitmq.conf", "conf.d/10-a.conf", "conf.d/20-b.conf"];
    expect(files).toEqual(names.map((name) => join(folder, name)));
  });

  test("G8 the folder can be named in place of the file, and the ending left out", () => {
    write({ "rabbitmq.conf": "heartbeat = 7", "conf.d/a.conf": "channel_max = 8" });
    const both = { heartbeat: 7, channelMax: 8 };
    expect(load(["--config", folder]).settings).toMatchObject(both);
    const withoutEnding = { RABBITMQ_CONFIG_FILE: join(folder, "rabbitmq") };
    expect(load([], withoutEnding).settings).toMatchObject(both);
  });

  test("G11 RABBITMQ_CONFIG_FILES names another folder than conf.d", () => {
    const config = write({
      "rabbitmq.conf": "heartbeat = 1",
      "conf.d/a.conf": "heartbeat = 2",
      "more/a.conf": "heartbeat = 3",
    });
    for (const more of [join(folder, "more"), join(folder, "more/*.conf")]) {
      const { settings } = load(["--config", config], { RABBITMQ_CONFIG_FILES: more });
      expect(settings.heartbeat).toBe(3);
    }
  });

  test("a file that is not there is an error", () => {
    expect(() => load(["--config", join(folder, "no.conf")])).toThrow("there is no such file");
  });

  test("G10 enabled_plugins is read beside rabbitmq.conf, or where a variable says", () => {
    const config = write({
      "rabbitmq.conf": "",
      enabled_plugins: "[rabbitmq_auth_mechanism_ssl,rabbitmq_top].",
      other: "[rabbitmq_shovel].",
      broken: "rabbitmq_shovel",
    });
    const beside = load(["--config", config]);
    expect(beside.plugins.builtIn).toEqual(["rabbitmq_auth_mechanism_ssl"]);
    expect(beside.notices).toEqual(["plugin rabbitmq_top is not offered by this version"]);
    const named = { RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, "other") };
    expect(load(["--config", config], named).plugins).toEqual({
      builtIn: [],
      notOffered: ["rabbitmq_shovel"],
    });
    const broken = { RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, "broken") };
    expect(() => load([], broken)).toThrow("an Erlang list of names");
  });
});

const ADDITIONAL = "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS";

const erlangArguments: [given: string, setting: keyof AllSettings, value: unknown][] = [
  ["-rabbit consumer_timeout 36000000", "consumerTimeoutMs", 36_000_000],
  ["+S 2:2 -rabbit consumer_timeout 1000 -kernel logger_level info", "consumerTimeoutMs", 1000],
  ["-rabbit heartbeat 5 max_message_size 1000", "maxMessageSize", 1000],
  ["-rabbit log_levels [{connection,error},{default,error}]", "logLevel", "error"],
  ["-rabbit log_levels [{connection,error}, {default, warning}]", "logLevel", "warn"],
  ["-rabbit disk_free_limit 2147483648", "diskFreeLimit", 2_147_483_648],
  ['-rabbit disk_free_limit "2GB"', "diskFreeLimit", 2e9],
  ["-rabbit disk_free_limit {mem_relative,1.5}", "diskFreeLimitRelative", 1.5],
  ["-rabbit vm_memory_high_watermark 0.4", "memoryHighWatermark", 0.4],
  ['-rabbit vm_memory_high_watermark {absolute,"1GiB"}', "memoryHighWatermark", 2 ** 30],
  ["-rabbit loopback_users []", "loopbackUsers", []],
  ['-rabbit default_user <<"me">>', "defaultUser", "me"],
  ['-rabbit default_pass \\"a b\\"', "defaultPassword", "a b"],
  [
    '-rabbitmq_management load_definitions "/my definitions.json"',
    "definitions",
    "/my definitions.json",
  ],
  ["-rabbitmq_management load_definitions '\"/d.json\"'", "definitions", "/d.json"],
  ["-rabbitmq_prometheus return_per_object_metrics true", "prometheusPerObject", true],
];

describe("G11 what Erlang's arguments say of RabbitMQ's applications counts", () => {
  test.each(erlangArguments)("%s", (given, setting, value) => {
    const { settings, notices } = load([], { [ADDITIONAL]: given });
    expect(settings[setting]).toEqual(value);
    expect(notices).toEqual([]);
  });

  test("before files, and after variables and flags", () => {
    const config = write({ "rabbitmq.conf": "default_user = file\nlisteners.tcp.1 = 1" });
    const environment = {
      [ADDITIONAL]: "-rabbit default_user args default_vhost args",
      RABBITMQ_DEFAULT_VHOST: "variable",
    };
    expect(load(["--config", config], environment).settings).toMatchObject({
      ...{ defaultUser: "args", defaultVhost: "variable", port: 1 },
    });
  });

  test("and what it cannot do is a notice, or the end", () => {
    const { notices } = load([], { [ADDITIONAL]: "-rabbit hipe_compile true -sname x" });
    expect(notices).toEqual([
      `${ADDITIONAL}:1: hipe_compile has no effect: RabbitMQ has this setting, Leveret does not`,
    ]);
    expect(() => load([], { [ADDITIONAL]: "-rabbit heartbeat fast" })).toThrow(
      `${ADDITIONAL}:1: heartbeat = fast: allowed is a number of seconds`,
    );
  });
});

describe("what has no effect", () => {
  test("G8 an unknown key is a notice with its line, and so is one that only RabbitMQ has", () => {
    const { notices, settings } = loadConf(
      "heartbeat = 5\nhaertbeat = 6\ncluster_formation.node_type = disc\nssl_options.depth = 2",
    );
    const conf = join(folder, "rabbitmq.conf");
    expect(notices).toEqual([
      `${conf}:2: haertbeat has no effect: there is no setting with that name`,
      `${conf}:3: cluster_formation.node_type has no effect: RabbitMQ has this setting, Leveret does not`,
      `${conf}:4: ssl_options.depth has no effect: RabbitMQ has this setting, Leveret does not`,
    ]);
    expect(settings.heartbeat).toBe(5);
  });

  test("G8 the weaker of two keys for one setting is no unknown key", () => {
    expect(loadConf("log.default.level = info\nlog.console.level = info").notices).toEqual([]);
  });

  test("G8 a key whose wish is met without it is no notice, with another value it is", () => {
    const { notices } = loadConf(
      "log.console = true\nlog.file = false\nvm_memory_high_watermark_paging_ratio = 0.5\nauth_backends.1 = internal\ndeprecated_features.permit.global_qos = true\ncluster_partition_handling = autoheal",
    );
    expect(notices).toEqual([]);
    expect(loadConf("deprecated_features.permit.global_qos = false").notices).toHaveLength(1);
    expect(loadConf("log.file = rabbit.log").notices).toHaveLength(1);
  });

  test("G11 a variable that would change RabbitMQ is a notice, others are not", () => {
    const { notices } = load([], {
      RABBITMQ_ADVANCED_CONFIG_FILE: "/etc/rabbitmq/advanced.config",
      RABBITMQ_ERLANG_COOKIE: "secret",
      RABBITMQ_PORT: "tcp://10.0.0.1:5672",
      RABBITMQ_LOGS: "-",
    });
    expect(notices).toEqual([
      "RABBITMQ_ADVANCED_CONFIG_FILE has no effect: only rabbitmq.conf is read",
    ]);
  });
});

const portsAllowed =
  "allowed is a port from 0 to 65535, ADDRESS:PORT, several of them with commas between, or off";

describe("what is wrong is said in one line, with where it stands and what is allowed", () => {
  test("on the command line", () => {
    expect(() => load(["--port", "x"])).toThrow(`--port x: ${portsAllowed}`);
    expect(() => load(["--sync", "x"])).toThrow("--sync x: allowed is one of always, os");
    expect(() => load(["--prot", "1"])).toThrow(/^Unknown option '--prot'; see leveret --help$/);
    expect(() => load(["--port"])).toThrow(/^[^\n]*'--port[^\n]*; see leveret --help$/);
  });

  test("in the environment", () => {
    const port = { RABBITMQ_NODE_PORT: "x" };
    expect(() => load([], port)).toThrow(`RABBITMQ_NODE_PORT=x: ${portsAllowed}`);
  });

  test("in a file", () => {
    expect(() => loadConf("heartbeat = 1\nlisteners.tcp.a = 1\nlisteners.tcp.b = x")).toThrow(
      `${join(folder, "rabbitmq.conf")}:3: listeners.tcp.b = x: ${portsAllowed}`,
    );
    expect(() => loadConf("loopback_users.guest = no")).toThrow(
      "rabbitmq.conf:1: loopback_users.guest = no: allowed is true or false",
    );
    expect(() => loadConf("default_limits.vhosts.a.max_queues = few")).toThrow(
      "rabbitmq.conf:1: default_limits.vhosts.a.max_queues = few: allowed is a number, or infinity",
    );
    expect(() => loadConf("default_users.a.color = red")).toThrow(
      "rabbitmq.conf:1: default_users.a.color = ***: allowed is for each NAME the fields vhost_pattern, password, tags, configure, write, read",
    );
    expect(() => loadConf("heartbeat = 1\nrubbish")).toThrow("rabbitmq.conf:2: a line is KEY");
  });

  test("and a password is not repeated", () => {
    const empty = { RABBITMQ_DEFAULT_PASS_FILE: write({ empty: "" }) };
    expect(() => load([], empty)).toThrow(/: \*\*\*: allowed is any text but an empty one$/);
  });
});
