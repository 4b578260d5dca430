/** The table of SASL mechanisms: how a client's first response is read. One more is one entry here. */

import { ByteReader } from "../amqp/byte-reader.ts";
import { AmqpError } from "../amqp/errors.ts";
import { type FieldTable, readTableEntries } from "../amqp/field-table.ts";
import { erlangBinary } from "../amqp/type-names.ts";
import { assert } from "../assert.ts";
import type { Credentials } from "../broker/login.ts";
import type { Settings } from "../config.ts";
import type { Peer } from "./peer.ts";

type AnonymousLogin = Pick<Settings, "anonymousLoginUser" | "anonymousLoginPassword">;
type Mechanism = (response: Buffer, peer: Peer, settings: AnonymousLogin) => Credentials;

/** The client sees what it sent as RabbitMQ shows it; the log does not, for there may be a password in it. */
function invalid(response: Buffer): AmqpError {
  return new AmqpError("SYNTAX_ERROR", `response ${erlangBinary(response)} invalid`, {
    logText: "malformed login response",
  });
}

/** `NUL user NUL password`, without the authorization id that RFC 4616 has in front [RabbitMQ]. */
function plain(response: Buffer): Credentials {
  const second = response.indexOf(0, 1);
  if (response[0] !== 0 || second < 0 || response.indexOf(0, second + 1) >= 0)
    throw invalid(response);
  return {
    userName: response.toString("utf8", 1, second),
    password: response.subarray(second + 1),
  };
}

/** A table's entries without length, with LOGIN and PASSWORD. */
function amqplain(response: Buffer): Credentials {
  let table: FieldTable;
  try {
    table = readTableEntries(new ByteReader(response));
  } catch {
    throw invalid(response);
  }
  const login = table.get("LOGIN");
  const password = table.get("PASSWORD");
  if (login?.type !== "S" || password?.type !== "S") throw invalid(response);
  return { userName: login.value.toString(), password: password.value };
}

/** The TLS certificate says who it is; the response is ignored [RabbitMQ]. */
function external(_: Buffer, { certificateUser }: Peer): Credentials {
  assert(certificateUser !== undefined, "EXTERNAL is offered with a certificate only");
  return { userName: certificateUser, password: undefined };
}

/** Whoever it is, he logs in as the user of the settings; the response is ignored [RabbitMQ 4]. */
function anonymous(_: Buffer, __: Peer, settings: AnonymousLogin): Credentials {
  const { anonymousLoginUser: userName, anonymousLoginPassword: password } = settings;
  return { userName, password: Buffer.from(password) };
}

export const mechanisms: ReadonlyMap<string, Mechanism> = new Map([
  ["PLAIN", plain],
  ["AMQPLAIN", amqplain],
  ["ANONYMOUS", anonymous],
  ["EXTERNAL", external],
]);

/** Those of the settings that can be used with this client: EXTERNAL needs a certificate, ANONYMOUS a user. */
export function offeredMechanisms(
  { authMechanisms, anonymousLoginUser }: AnonymousLogin & Pick<Settings, "authMechanisms">,
  peer: Peer,
): readonly string[] {
  return authMechanisms.filter((name) => {
    if (name === "EXTERNAL") return peer.certificateUser !== undefined;
    return name !== "ANONYMOUS" || anonymousLoginUser !== "none";
  });
}
