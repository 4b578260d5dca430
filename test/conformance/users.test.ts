/**
 * Who may log in: passwords and their hashes, users without one, and the limits of a user. Reference rows A3, A5, A10, N26,
 * V5.
 */
import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import {
  administration,
  needsAdministration,
  newUser,
  newUserIn,
  newVirtualHost,
} from "./administration.ts";
import { connect, connectionError } from "./harness.ts";
import { RawClient, shortstr, table, typed, u8 } from "./raw-client.ts";

needsAdministration();

const capabilities = table({ authentication_failure_close: typed("t", u8(1)) });
const clientProperties = table({ capabilities: typed("F", capabilities) });

/** Whether a user can log in: connection.tune, or the refusal that a client with the capability is told. */
async function login(username: string, password: string): Promise<"tune" | string> {
  const raw = await RawClient.tcp();
  await raw.start();
  raw.startOk({ username, password, clientProperties });
  const method = await raw.readMethod(0);
  if (method?.classId === 10 && method.methodId === 30) return "tune";
  const { fields } = method!;
  return `${fields.u16()} ${fields.shortstr()}`;
}

const REFUSED =
  "403 ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile.";

test("A3 A10 a user logs in with the password that it was given, and no other", async () => {
  const { username, password } = await newUser();
  expect(await login(username, password)).toBe("tune");
  for (const wrong of ["", "correct horse ", "Correct horse"])
    expect(await login(username, wrong)).toBe(REFUSED);
  expect(await login(`${username}x`, password)).toBe(REFUSED);
  await (await administration()).deleteUser(username);
  expect(await login(username, password)).toBe(REFUSED);
});

test("A3 a client that cannot be told of a refusal sees the end of the socket", async () => {
  const { username } = await newUser();
  const raw = await RawClient.tcp();
  await raw.start();
  raw.startOk({ username, password: "wrong" });
  expect(await raw.readMethod(0)).toBeUndefined();
});

test.each([
  ["sha256", "rabbit_password_hashing_sha256"],
  ["sha512", "rabbit_password_hashing_sha512"],
  ["md5", "rabbit_password_hashing_md5"],
])("A10 a hash with %s serves in place of the password", async (digest, hashingAlgorithm) => {
  const salt = Buffer.from([0x90, 0x8d, 0xc6, 0x0a]);
  const hash = createHash(digest).update(salt).update("test12").digest();
  const passwordHash = Buffer.concat([salt, hash]).toString("base64");
  const { username } = await newUser({ passwordHash, hashingAlgorithm });
  expect(await login(username, "test12")).toBe("tune");
  expect(await login(username, "test1")).toBe(REFUSED);
});

test("A10 the hash of RabbitMQ's guide is that of its password", async () => {
  const passwordHash = "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR";
  const { username } = await newUser({ passwordHash });
  expect(await login(username, "test12")).toBe("tune");
});

test("A10 a user without a password cannot log in", async () => {
  const { username } = await newUser({ passwordHash: "" });
  for (const password of ["", " ", "guest"]) expect(await login(username, password)).toBe(REFUSED);
});

test("A5 a user may have any tags, and none is needed to use AMQP", async () => {
  const vhost = await newVirtualHost();
  for (const tags of [[], ["administrator", "made-up"]]) {
    const user = await newUserIn(vhost, {}, { tags });
    const { connection } = await connect({ vhost, ...user });
    await (await connection.createChannel()).assertQueue("q");
  }
});

test("V5 N26 a user has no more connections than its limit", async () => {
  const vhost = await newVirtualHost();
  const user = await newUserIn(vhost);
  await (await administration()).setUserLimit(user.username, "max-connections", 1);
  await connect({ vhost, ...user });
  const raw = await RawClient.tcp();
  await raw.start();
  raw.startOk(user);
  await raw.readTune();
  raw.tuneOk();
  raw.open(vhost);
  expect(await raw.expectClose()).toEqual({
    code: 530,
    text: `NOT_ALLOWED - connection refused for user '${user.username}': user connection limit (1) is reached`,
    classId: 10,
    methodId: 40,
  });
  const other = await newUserIn(vhost);
  await connect({ vhost, ...other });
});

test("V5 N26 a user has no more channels than its limit, in all its connections", async () => {
  const vhost = await newVirtualHost();
  const user = await newUserIn(vhost);
  await (await administration()).setUserLimit(user.username, "max-channels", 2);
  const { connection } = await connect({ vhost, ...user });
  const first = await connection.createChannel();
  const raw = await RawClient.connect({ vhost, ...user });
  await raw.openChannel(7);
  raw.sendMethod(8, 20, 10, shortstr(""));
  expect(await raw.expectClose()).toEqual({
    code: 530,
    text: `NOT_ALLOWED - number of channels opened for user '${user.username}' has reached the maximum allowed user limit of (2)`,
    classId: 0,
    methodId: 0,
  });
  await first.checkExchange("amq.direct");
  const other = await newUserIn(vhost);
  const { connection: others } = await connect({ vhost, ...other });
  for (let count = 0; count < 3; count++) await others.createChannel();
  // Nobody has closed it.
  const state = await Promise.race([connectionError(connection), first.checkExchange("amq.topic")]);
  expect(state).toEqual({});
});
