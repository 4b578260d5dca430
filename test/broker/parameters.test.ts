/** Parameters for which RabbitMQ needs a plugin, or which would change a broker that others use, too. */
import { connect } from "amqplib";
import { expect, onTestFinished, test } from "vitest";
import { Broker, type Json } from "../../src/index.ts";

async function start(): Promise<Broker> {
  const broker = await Broker.start({ port: 0 });
  onTestFinished(() => broker.close());
  return broker;
}

test("V10 parameters of shovels and federation are kept as they are, each in its virtual host", async () => {
  const { parameters, virtualHosts } = await start();
  virtualHosts.add("v");
  const value = { "src-uri": ["amqp://a", "amqp://b"], "ack-mode": "on-confirm", "max-hops": 1 };
  for (const component of ["shovel", "federation-upstream", "federation-upstream-set"]) {
    parameters.set("/", component, "one", value);
    parameters.set("v", component, "one", component);
    expect(parameters.find("/", component, "one")?.value).toEqual(value);
    expect(parameters.find("v", component, "one")?.value).toBe(component);
    parameters.clear("v", component, "one");
    expect(parameters.find("v", component, "one")).toBeUndefined();
  }
  expect([...parameters.all()]).toHaveLength(3);
});

test("V10 what is set or cleared in a virtual host that is not there is not found", async () => {
  const { parameters } = await start();
  const notFound = expect.objectContaining({ code: "NOT_FOUND" });
  expect(() => parameters.set("missing", "shovel", "s", 1)).toThrow(notFound);
  expect(() => parameters.clear("/", "shovel", "s")).toThrow("Parameter does not exist");
  expect(() => parameters.clear("/", "vhost-limits", "limits")).toThrow(notFound);
  expect(() => parameters.clear("/", "policy", "p")).toThrow(
    "policies may not be cleared using this method",
  );
});

test.each([
  ["operator_policy", 5, "name not a list 5"],
  ["operator_policy", { pattern: "" }, 'Key "definition" not found in name'],
  ["vhost-limits", "x", 'name not a list <<"x">>'],
  [
    "vhost-limits",
    { "max-channels": 1, "max-queues": null, "max-connections": 1.5 },
    'Unrecognised terms [{<<"max-channels">>,1}] in name\nmax-queues should be a number, actually was null\nmax-connections should be a number, actually was 1.5',
  ],
] as [string, Json, string][])(
  "V10 a parameter %s of %j is refused",
  async (component, value, text) => {
    const { parameters } = await start();
    expect(() => parameters.set("/", component, "name", value)).toThrow(
      expect.objectContaining({ code: "INVALID", message: `Validation failed\n\n${text}\n` }),
    );
  },
);

test("V10 N2 the name of the cluster is a global parameter, and clients are told of it", async () => {
  const broker = await start();
  const told = async (): Promise<string> => {
    const connection = await connect(broker.url);
    const { cluster_name } = connection.connection.serverProperties as unknown as {
      cluster_name: string;
    };
    await connection.close();
    return cluster_name;
  };
  expect(await told()).toBe("rabbit@localhost");
  broker.globalParameters.set("cluster_name", "ours");
  expect(await told()).toBe("ours");
  broker.globalParameters.set("cluster_name", { not: "a name" });
  expect(await told()).toBe("rabbit@localhost");
});
