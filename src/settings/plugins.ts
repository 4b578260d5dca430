/**
 * enabled_plugins: an Erlang list of names, such as `[rabbitmq_management,rabbitmq_prometheus].`
 *
 * Nothing is loaded for it. What a plugin adds to RabbitMQ is built in here, or it is not offered and the log says so.
 */

/** Plugins whose work is done. */
const builtIn: ReadonlySet<string> = new Set([
  "rabbitmq_auth_mechanism_ssl",
  "rabbitmq_consistent_hash_exchange",
  "rabbitmq_delayed_message_exchange",
  "rabbitmq_management",
  "rabbitmq_prometheus",
  "rabbitmq_message_deduplication",
  "rabbitmq_random_exchange",
  "rabbitmq_recent_history_exchange",
]);

/** Parts of other plugins: nobody enables them for their own sake. */
const libraries: ReadonlySet<string> = new Set([
  "rabbitmq_management_agent",
  "rabbitmq_web_dispatch",
  "rabbitmq_peer_discovery_common",
]);

export interface Plugins {
  readonly builtIn: readonly string[];
  readonly notOffered: readonly string[];
}

/** Undefined when the text is no Erlang list of names. */
export function parseEnabledPlugins(content: string): readonly string[] | undefined {
  const withoutComments = content.replaceAll(/%.*$/gm, "");
  const list = /^\s*\[\s*([^\]]*?)\s*\]\s*\.\s*$/.exec(withoutComments)?.[1];
  if (list === undefined) return undefined;
  const names = list === "" ? [] : list.split(",").map((name) => name.trim());
  return names.every((name) => /^[a-z]\w*$/.test(name)) ? names : undefined;
}

export function sortPlugins(names: readonly string[]): Plugins {
  return {
    builtIn: names.filter((name) => builtIn.has(name)),
    notOffered: names.filter((name) => !builtIn.has(name) && !libraries.has(name)),
  };
}
