/** The table of exchange types: one more is one file and one line here. */

import { consistentHash } from "./consistent-hash.ts";
import { delayedMessageType } from "./delayed-message.ts";
import { direct } from "./direct.ts";
import type { ExchangeType } from "./exchange.ts";
import { fanout } from "./fanout.ts";
import { headers } from "./headers.ts";
import { messageDeduplication } from "./message-deduplication.ts";
import { modulusHash } from "./modulus-hash.ts";
import { localRandom, random } from "./random.ts";
import { recentHistory } from "./recent-history.ts";
import { topic } from "./topic.ts";

/** Those of which a delayed-message exchange can be made. */
const plain: ReadonlyMap<string, ExchangeType> = new Map(
  [
    ...[direct, fanout, topic, headers],
    ...[consistentHash, modulusHash, random, localRandom, messageDeduplication],
  ].map((type) => [type.name, type]),
);

export const exchangeTypes: ReadonlyMap<string, ExchangeType> = new Map([
  ...plain,
  ...[delayedMessageType(plain), recentHistory].map((type) => [type.name, type] as const),
]);
