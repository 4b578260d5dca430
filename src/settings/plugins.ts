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

/** The others that RabbitMQ comes with, and whose work nobody does here. */
const foreignPlugins = [
  ...["rabbitmq_amqp1_0", "rabbitmq_auth_backend_cache", "rabbitmq_auth_backend_http"],
  ...["rabbitmq_auth_backend_internal_loopback", "rabbitmq_auth_backend_ldap"],
  ...["rabbitmq_auth_backend_oauth2", "rabbitmq_event_exchange", "rabbitmq_federation"],
  ...["rabbitmq_federation_management", "rabbitmq_federation_prometheus"],
  ...["rabbitmq_jms_topic_exchange", "rabbitmq_mqtt", "rabbitmq_peer_discovery_aws"],
  ...["rabbitmq_peer_discovery_consul", "rabbitmq_peer_discovery_etcd"],
  ...["rabbitmq_peer_discovery_k8s", "rabbitmq_sharding", "rabbitmq_shovel"],
  ...["rabbitmq_shovel_management", "rabbitmq_shovel_prometheus", "rabbitmq_stomp"],
  ...["rabbitmq_stream", "rabbitmq_stream_management", "rabbitmq_top", "rabbitmq_tracing"],
  ...["rabbitmq_trust_store", "rabbitmq_web_mqtt", "rabbitmq_web_mqtt_examples"],
  ...["rabbitmq_web_stomp", "rabbitmq_web_stomp_examples"],
];

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

export function isBuiltIn(name: string): boolean {
  return builtIn.has(name);
}

/** Every plugin of RabbitMQ's, sorted. */
export const knownPlugins: readonly string[] = [...builtIn, ...libraries, ...foreignPlugins].sort();

export function sortPlugins(names: readonly string[]): Plugins {
  return {
    builtIn: names.filter((name) => builtIn.has(name)),
    notOffered: names.filter((name) => !builtIn.has(name) && !libraries.has(name)),
  };
}
