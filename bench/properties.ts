/**
 * The property lists messages are published with: the flags, then the values they announce, in
 * order.
 */

import { shortString, table, u8, u16, u64 } from "./wire.ts";

/** `rpc` is what a request carries: a reply queue and a correlation id. */
export type PropertyKind = "none" | "persistent" | "all" | "rpc";

const ALL_FOURTEEN = 0b1111_1111_1111_1100;
const DELIVERY_MODE = 1 << 12;
const CORRELATION_ID = 1 << 10;
const REPLY_TO = 1 << 9;

const NON_PERSISTENT = 1;
const PERSISTENT = 2;

/**
 * `user` is only told to messages with all properties: a broker checks user-id against the login.
 */
export function properties(kind: PropertyKind, user: string, replyTo = "replies"): Buffer {
  switch (kind) {
    case "none":
      return u16(0);
    case "persistent":
      return Buffer.concat([u16(DELIVERY_MODE), u8(PERSISTENT)]);
    case "rpc":
      return Buffer.concat([
        u16(CORRELATION_ID | REPLY_TO),
        shortString("3f0c1b7e-0d5a-4c39-9a53-5d7f1e0b2a41"),
        shortString(replyTo),
      ]);
    case "all":
      return allFourteen(user);
  }
}

function allFourteen(user: string): Buffer {
  const headers = table({
    "x-tenant": "hazel",
    "x-attempt": 3,
    "x-sampled": true,
    "x-weight": 0.25,
    "x-origin": { region: "north", shard: 7 },
  });
  const [priority, expiration] = [u8(4), shortString("60000")];
  return Buffer.concat([
    u16(ALL_FOURTEEN),
    shortString("application/json"),
    shortString("identity"),
    headers,
    u8(NON_PERSISTENT),
    priority,
    shortString("3f0c1b7e-0d5a-4c39-9a53-5d7f1e0b2a41"),
    shortString("replies"),
    expiration,
    shortString("message-000001"),
    u64(1_735_689_600),
    shortString("order.created"),
    shortString(user),
    shortString("leveret-bench"),
    shortString("cluster"),
  ]);
}
