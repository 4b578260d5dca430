/**
 * What a broker can be told, as the layers below see it: names, types and defaults. The table behind it is
 * `settings/table.ts`; whoever embeds a broker passes a part of them, and the command line fills them in.
 */

import { brokerSettings, defaultsOf, FRAME_SIZE_LEAST, type ValuesOf } from "./settings/table.ts";

export type Settings = ValuesOf<typeof brokerSettings>;

export const defaultSettings: Readonly<Settings> = defaultsOf(brokerSettings);

/** The smallest frame-max that is accepted. */
export const FRAME_MAX_LEAST = FRAME_SIZE_LEAST;
/** Below it RabbitMQ from 4.1 on refuses a client: worth a word in the log. */
export const FRAME_MAX_LEAST_RABBITMQ = 8192;

/** The version of this package; a test holds it equal to package.json's. */
export const version = "0.1.0";
/** The RabbitMQ whose behaviour clients will meet. */
export const RABBITMQ_VERSION = "4.2.0";
