/**
 * Keys of rabbitmq.conf, and variables, that mean something to RabbitMQ and nothing here. What is not in the table of settings
 * and not among them is most likely a slip of the pen, and the log says so.
 */

/** A key is known when it is one of these or begins with one and a dot. */
const foreignKeys = new Set(
  `
  amqp1_0 auth_backends auth_cache auth_http auth_ldap auth_mechanisms auth_oauth2 aws
  background_gc_enabled background_gc_target_interval classic_queue cluster_formation
  cluster_keepalive_interval cluster_partition_handling cluster_tags collect_statistics
  collect_statistics_interval credential_validator default_limits
  default_permissions default_policies default_user_tags default_users default_worker_pool_size definitions
  delegate_count deprecated_features disk_free_limit distributed_cookie distribution dead_letter_worker_consumer_prefetch
  dead_letter_worker_publisher_confirm_timeout erlang event_exchange exchange_types ha_promote_on_failure hipe_compile
  initial_frame_max khepri_default_timeout limits listeners load_definitions log log_levels loopback_users management management_agent
  max_vhosts memory_monitor_interval message_interceptors message_store_shutdown_timeout metadata_store
  mirroring_sync_batch_size mirroring_sync_max_throughput mnesia_table_loading_retry_limit
  mnesia_table_loading_retry_timeout motd_file mqtt msg_store_file_size_limit net_ticktime node_tags nodename num_acceptors
  password_hashing_module process_stats_gc_timeout product prometheus proxy_protocol queue_index_embed_msgs_below
  queue_leader_locator queue_master_locator queue_types quorum_cluster_size quorum_commands_soft_limit quorum_queue raft
  reverse_dns_lookups ring_size session_max_per_connection shovel socket_writer ssl_allow_poodle_attack
  ssl_cert_login_san_index ssl_cert_login_san_type ssl_handshake_timeout ssl_options stomp stream stream_queue
  sysmon_handler tcp_listen_options total_memory_available_override_value track_auth_attempt_source trust_store
  vhost_max vhost_restart_strategy vm_memory_calculation_strategy vm_memory_high_watermark web_mqtt web_stomp
  `
    .trim()
    .split(/\s+/),
);

/** Whether RabbitMQ has a setting of that name, as far as its first part tells. */
export function isForeignKey(key: readonly string[]): boolean {
  return foreignKeys.has(key[0]!);
}

/**
 * Keys of which nobody needs to hear that they have no effect: with such a value it is so anyhow, or it makes no difference
 * to a RabbitMQ of one node either.
 */
const metKeys: readonly (readonly [key: RegExp, value: RegExp])[] = [
  [/^auth_backends\.1$/, /^(rabbit_auth_backend_)?internal$/],
  [/^classic_queue\.default_version$/, /./],
  [/^cluster_partition_handling$/, /./],
  [/^collect_statistics_interval$/, /./],
  [/^deprecated_features\.permit\./, /^true$/],
  [/^log\.(console|default)$/, /^true$/],
  [/^log\.(file|exchange|syslog)$/, /^false$/],
  [/^management_agent\.disable_metrics_collector$/, /^false$/],
  [/^mnesia_table_loading_retry_/, /./],
  [/^proxy_protocol$/, /^false$/],
  [/^queue_(leader|master)_locator$/, /./],
  [/^reverse_dns_lookups$/, /^false$/],
  [/^tcp_listen_options\.nodelay$/, /^true$/],
  [/^vm_memory_calculation_strategy$/, /^rss$/],
  [/^vm_memory_high_watermark_paging_ratio$/, /./],
];

/** Whether what the key wants is so without it. */
export function isMet(key: readonly string[], value: string): boolean {
  const name = key.join(".");
  return metKeys.some(([keys, values]) => keys.test(name) && values.test(value));
}

/** Variables of RabbitMQ whose being ignored somebody should hear of, and what to do instead. */
export const foreignVariables: Readonly<Record<string, string>> = {
  RABBITMQ_ADVANCED_CONFIG_FILE: "only rabbitmq.conf is read",
  RABBITMQ_CONF_ENV_FILE: "set the variables themselves, with RABBITMQ_ in front",
  RABBITMQ_LOGS: "the log goes to the standard output",
  RABBITMQ_LOG_BASE: "the log goes to the standard output",
};
