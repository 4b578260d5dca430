/**
 * In what the answers of the management API differ from those of RabbitMQ 3.10, and why: fields that are absent on one side,
 * or of another type. A difference that is not listed fails comparison.test.ts.
 */

export interface Difference {
  /** The requests, after `/api/`. */
  readonly where: RegExp;
  /** `field: what RabbitMQ has, what is here`. */
  readonly what: RegExp;
  readonly why: string;
}

const anywhere = /./;

export const differences: readonly Difference[] = [
  {
    where: anywhere,
    what: /(garbage_collection|reductions|backing_queue_status).*, absent$/,
    why: "of Erlang's processes, of which there are none",
  },
  {
    where: /^nodes/,
    what: /(context_switches|gc_num|gc_bytes_reclaimed|mnesia_\w+|ra_open_file_metrics|metrics_gc_queue_length).*, absent$/,
    why: "of Erlang's virtual machine and of its database",
  },
  {
    where: /^(nodes|overview)/,
    what: /(io_\w+|msg_store_\w+|queue_index_\w+|disk_reads|disk_writes)(_details)?(\.rate)?: \w+, absent$/,
    why: "operations on files are not counted",
  },
  {
    where: /^nodes/,
    what: /(disk_free|fd_used|mem_used|proc_used|sockets_used)_details(\.rate)?: \w+, absent$/,
    why: "how fast these change is not measured",
  },
  {
    where: /^(nodes|overview)/,
    what: /contexts\[\]\.(cowboy_opts|protocol|node|ssl_opts)|listeners\[\]\.socket_opts/,
    why: "options of RabbitMQ's HTTP server and sockets",
  },
  {
    where: /^nodes/,
    what: /cluster_links\[\].*, absent$/,
    why: "links to other nodes and to command-line tools, of which there are none",
  },
  {
    where: /^nodes/,
    what: /(config_files|enabled_plugins)\[\]: string, absent$/,
    why: "the broker under test has neither",
  },
  {
    where: /^overview/,
    what: /^(cluster_tags|node_tags|default_queue_type|is_op_policy_updating_enabled): absent, /,
    why: "RabbitMQ 4 has them",
  },
  {
    where: /^nodes/,
    what: /being_drained: absent, boolean$/,
    why: "RabbitMQ 4 has it, and its command line needs it",
  },
  {
    where: /^auth$/,
    what: /^oauth_enabled: absent, boolean$/,
    why: "what 4 calls enable_uaa",
  },
  { where: anywhere, what: /^leveret_version: absent, string$/, why: "who it is" },
  {
    where: /^vhosts/,
    what: /protected_from_deletion: absent, boolean$/,
    why: "RabbitMQ 4 has it",
  },
  { where: /^queues/, what: /storage_version: absent, number$/, why: "RabbitMQ 4 has it" },
  {
    where: /^(queues|connections|channels)/,
    what: /idle_since: string, absent$/,
    why: "said only when it is known that nothing has changed, and not of channels",
  },
  {
    where: /^extensions$/,
    what: /^\[\](\.javascript)?: \w+, absent$/,
    why: "there is no page that could load them",
  },
  {
    where: /^connections\/\{c\}$/,
    what: /^(peer_cert_\w+|ssl_\w+): string, null$/,
    why: "null as in RabbitMQ's list of connections, where its answer for one has empty texts",
  },
  {
    where: /^definitions\/\{v\}/,
    what: /^((parameters|policies)\[\]\.vhost: string, absent|(original_vhost_name|product_\w+|rabbitmq_version): absent, string)$/,
    why: "as RabbitMQ 4 has it, so that it can be imported into any virtual host",
  },
  {
    where: /^definitions$/,
    what: /^vhosts\[\]\.(description|tags|metadata|default_queue_type)(\[\])?: (absent, \w+|\w+, absent)$/,
    why: "RabbitMQ 4 exports what a virtual host says of itself",
  },
];
