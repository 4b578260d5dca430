/** A row of the table of settings: what a setting is, and where its value can come from. */

import type { Kind } from "./kinds.ts";

export interface Setting<Value> {
  readonly kind: Kind<Value>;
  readonly default: NoInfer<Value>;
  /** One line. */
  readonly help: string;
  /** `--flag`, and the variable `LEVERET_FLAG`. */
  readonly flag?: string;
  /** Variables that mean the same to RabbitMQ, the strongest first. */
  readonly environment?: readonly string[];
  /** A variable that names a file with the value in it. */
  readonly environmentFile?: string;
  /**
   * Keys of rabbitmq.conf. What ends in `.*` is a family whose values make up a list, what ends in `.NAME` one whose
   * last part is the value when the key is set to true, and what ends in `.NAME.FIELD` one of objects with fields.
   */
  readonly keys?: readonly string[];
  /** Never shown. */
  readonly secret?: boolean;
}

export function setting<Value>(row: Setting<Value>): Setting<Value> {
  return row;
}
