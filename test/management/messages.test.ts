/** Publishing and getting messages over HTTP, and what clients' messages look like there. */
import { connect } from "amqplib";
import { describe, expect, onTestFinished, test } from "vitest";
import { type Api, api, isForeign, newVirtualHost, target } from "./api.ts";

interface Place {
  readonly guest: Api;
  readonly vhost: string;
  publish(message: object, exchange?: string): ReturnType<Api["post"]>;
  get(wanted?: object): ReturnType<Api["post"]>;
}

const message = { properties: {}, routing_key: "q", payload: "hello", payload_encoding: "string" };
const look = { count: 1, ackmode: "ack_requeue_true", encoding: "auto" };

/** A virtual host with the queue `q`. */
async function place(): Promise<Place> {
  const guest = await api();
  const vhost = await newVirtualHost();
  await guest.put(`queues/${vhost}/q`, {});
  return {
    guest,
    vhost,
    publish: (given, exchange = "amq.default") =>
      guest.post(`exchanges/${vhost}/${exchange}/publish`, { ...message, ...given }),
    get: (wanted = {}) => guest.post(`queues/${vhost}/q/get`, { ...look, ...wanted }),
  };
}

describe("G1 POST /api/exchanges/:vhost/:exchange/publish", () => {
  test("says whether the message went to a queue", async () => {
    const { publish, get } = await place();
    expect(await publish({})).toMatchObject({ status: 200, body: { routed: true } });
    expect((await publish({ routing_key: "nowhere" })).body).toEqual({ routed: false });
    expect((await publish({}, "amq.topic")).body).toEqual({ routed: false });
    expect((await get()).body).toEqual([
      {
        ...{
          payload_bytes: 5,
          redelivered: false,
          exchange: "",
          routing_key: "q",
          message_count: 0,
        },
        ...{ properties: [], payload: "hello", payload_encoding: "string" },
      },
    ]);
  });

  test("takes every property, and headers of every type", async () => {
    const { publish, get } = await place();
    const properties = {
      ...{ content_type: "text/plain", content_encoding: "utf-8", delivery_mode: 2, priority: 5 },
      ...{ correlation_id: "c", reply_to: "r", expiration: "60000", message_id: "m" },
      ...{ timestamp: 1_700_000_000, type: "t", user_id: "guest", app_id: "a", cluster_id: "k" },
      headers: { text: "x", whole: 5, real: 1.5, truth: true, list: [1, "a"], table: { b: "c" } },
    };
    expect((await publish({ properties })).body).toEqual({ routed: true });
    expect((await get()).body[0].properties).toEqual(properties);
  });

  test("takes binary bodies as base64", async () => {
    const { publish, get } = await place();
    const payload = Buffer.from([0, 255, 254]).toString("base64");
    await publish({ payload, payload_encoding: "base64" });
    const [got] = (await get()).body;
    expect(got).toMatchObject({ payload, payload_encoding: "base64", payload_bytes: 3 });
  });

  test.each([
    [{ payload_encoding: "hex" }, ["unsupported_encoding", "hex"]],
    [{ payload: "%%", payload_encoding: "base64" }, ["not_base64", "%%"]],
    [{ properties: { priority: "x" } }, ["not_int", "priority"]],
    [{ properties: { headers: { a: null } } }, "null_not_allowed"],
    [
      { properties: { user_id: "other" } },
      "406 PRECONDITION_FAILED - user_id property set to 'other' but authenticated user was 'guest'",
    ],
    [
      { properties: { expiration: "x" } },
      "406 PRECONDITION_FAILED - invalid expiration 'x': no_integer",
    ],
  ])("refuses %j", async (given, reason) => {
    const { publish } = await place();
    const { status, body } = await publish(given);
    expect(status).toBe(400);
    expect(body).toEqual({ error: "bad_request", reason });
  });

  test("needs properties, routing key, payload and its encoding", async () => {
    const { guest, vhost } = await place();
    for (const name of ["properties", "routing_key", "payload", "payload_encoding"] as const) {
      const { [name]: _, ...rest } = message;
      const { status, body } = await guest.post(`exchanges/${vhost}/amq.default/publish`, rest);
      expect([name, status]).toEqual([name, 400]);
      expect(body.reason).toBe(`[{key_missing,${name}}]`);
    }
  });

  test("says where there is no exchange, or one that is internal", async () => {
    const { publish, vhost } = await place();
    expect((await publish({}, "nope")).body).toEqual({
      ...{ error: "bad_request", reason: `404 NOT_FOUND - no exchange 'nope' in vhost '${vhost}'` },
    });
    expect((await publish({}, "amq.rabbitmq.trace")).body.reason).toBe(
      `403 ACCESS_REFUSED - cannot publish to internal exchange 'amq.rabbitmq.trace' in vhost '${vhost}'`,
    );
  });

  test("says that a full queue refuses the message", async () => {
    const { guest, vhost, publish } = await place();
    const full = { arguments: { "x-max-length": 1, "x-overflow": "reject-publish" } };
    await guest.put(`queues/${vhost}/full`, full);
    expect((await publish({ routing_key: "full" })).body).toEqual({ routed: true });
    const { status, body } = await publish({ routing_key: "full" });
    expect(status).toBe(400);
    expect(body.reason).toBe("rejected Unable to publish message. Check queue limits.");
  });

  test("goes to CC and BCC, and shows nobody the BCC", async () => {
    const { guest, vhost, publish } = await place();
    for (const name of ["cc", "bcc"]) await guest.put(`queues/${vhost}/${name}`, {});
    await publish({ properties: { headers: { CC: ["cc"], BCC: ["bcc"] } } });
    const got = await guest.post(`queues/${vhost}/bcc/get`, look);
    expect(got.body[0].properties.headers).toEqual({ CC: ["cc"] });
    expect((await guest.post(`queues/${vhost}/cc/get`, look)).body).toHaveLength(1);
  });
});

describe("G1 POST /api/queues/:vhost/:queue/get", () => {
  async function three(): Promise<Place> {
    const there = await place();
    for (const payload of ["1", "2", "3"]) await there.publish({ payload });
    return there;
  }
  const payloads = (body: { payload: string }[]) => body.map(({ payload }) => payload);

  test("gets several, counts the rest, and gives them back in their order", async () => {
    const { get } = await three();
    const { body } = await get({ count: 2 });
    expect(payloads(body)).toEqual(["1", "2"]);
    expect(body.map((each: { message_count: number }) => each.message_count)).toEqual([2, 1]);
    const again = (await get({ count: 5 })).body;
    expect(payloads(again)).toEqual(["1", "2", "3"]);
    expect(again.map((each: { redelivered: boolean }) => each.redelivered)).toEqual([
      true,
      true,
      false,
    ]);
  });

  test.each(["ack_requeue_false", "reject_requeue_false"])(
    "with %s they are gone",
    async (ackmode) => {
      const { get } = await three();
      await get({ count: 2, ackmode });
      expect(payloads((await get({ count: 5, ackmode: "reject_requeue_true" })).body)).toEqual([
        "3",
      ]);
    },
  );

  test("with reject_requeue_false they are dead-lettered", async () => {
    const { guest, vhost, publish } = await place();
    const dead = { "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "q" };
    await guest.put(`queues/${vhost}/source`, { arguments: dead });
    await publish({ routing_key: "source" });
    const wanted = { ...look, ackmode: "reject_requeue_false" };
    await guest.post(`queues/${vhost}/source/get`, wanted);
    const { body } = await guest.post(`queues/${vhost}/q/get`, look);
    expect(body[0].properties.headers["x-death"][0]).toMatchObject({
      reason: "rejected",
      count: 1,
    });
  });

  test("cuts bodies, and writes them in base64 when asked", async () => {
    const { publish, get } = await place();
    await publish({});
    expect((await get({ truncate: 2 })).body[0]).toMatchObject({ payload: "he", payload_bytes: 5 });
    expect((await get({ encoding: "base64", truncate: 1 })).body[0]).toMatchObject({
      ...{ payload: "aA==", payload_encoding: "base64" },
    });
  });

  test("says what is wrong", async () => {
    const { guest, vhost, get } = await place();
    for (const name of ["count", "ackmode", "encoding"] as const) {
      const { [name]: _, ...rest } = look;
      const { body } = await guest.post(`queues/${vhost}/q/get`, rest);
      expect(body.reason).toBe(`[{key_missing,${name}}]`);
    }
    expect((await get({ encoding: "x" })).body.reason).toBe(
      "Unsupported encoding. Please use auto or base64.",
    );
    expect((await get({ count: "x" })).body.reason).toEqual(["not_integer", "x"]);
    if (!isForeign) expect((await get({ ackmode: "x" })).status).toBe(400);
    expect((await guest.post(`queues/${vhost}/nope/get`, look)).body).toEqual({
      ...{ error: "not_found", reason: `NOT_FOUND - no queue 'nope' in vhost '${vhost}'` },
    });
  });

  test("takes what a client published, with its properties", async () => {
    const { guest, vhost, get } = await place();
    const connection = await connect(`${(await target()).amqp}/${vhost}`);
    onTestFinished(() => connection.close());
    const channel = await connection.createConfirmChannel();
    const body = Buffer.from([1, 2, 255]);
    const headers = { stream: true, bytes: Buffer.from([254]) };
    channel.sendToQueue("q", body, { headers, contentType: "x/y", persistent: true });
    await channel.waitForConfirms();
    const [got] = (await get()).body;
    expect(got).toMatchObject({
      ...{ payload: body.toString("base64"), payload_encoding: "base64", redelivered: false },
      properties: { content_type: "x/y", delivery_mode: 2, headers: { stream: true } },
    });
    expect((await guest.delete(`queues/${vhost}/q/contents`)).status).toBe(204);
    expect((await get()).body).toEqual([]);
  });
});
