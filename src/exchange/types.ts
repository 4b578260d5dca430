/** The table of exchange types: one more is one file and one line here. */

import { consistentHash } from "./consistent-hash.ts";
import { direct } from "./direct.ts";
import type { ExchangeType } from "./exchange.ts";
import { fanout } from "./fanout.ts";
import { headers } from "./headers.ts";
import { modulusHash } from "./modulus-hash.ts";
import { localRandom, random } from "./random.ts";
import { topic } from "./topic.ts";

export const exchangeTypes: ReadonlyMap<string, ExchangeType> = new Map(
  [direct, fanout, topic, headers, consistentHash, modulusHash, random, localRandom].map((type) => [
    type.name,
    type,
  ]),
);
