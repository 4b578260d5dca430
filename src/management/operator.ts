/**
 * The operator: who has the broker's key, which lies in its data folder, and so could do to the broker whatever he liked.
 * He is no user: users cannot lock him out, no password is his, and everything is his to do in every virtual host.
 */

import { timingSafeEqual } from "node:crypto";
import { Access } from "../broker/access.ts";
import { User } from "../broker/users.ts";

/** As RabbitMQ calls whoever uses its command-line tools. */
export const operator = new User("rmq-cli", undefined, ["administrator"], {});

const BEARER = /^bearer\s+(\S+)\s*$/i;

/** Whether a header `Authorization` has the key. */
export function hasKey(header: string, key: string | undefined): boolean {
  const given = BEARER.exec(header)?.[1];
  if (key === undefined || given === undefined) return false;
  const [one, other] = [Buffer.from(given), Buffer.from(key)];
  return one.length === other.length && timingSafeEqual(one, other);
}

export function operatorAccess(vhost: string): Access {
  const access = new Access(operator.name, vhost);
  access.grant({ configure: ".*", write: ".*", read: ".*" });
  return access;
}
