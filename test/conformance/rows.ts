/**
 * The behaviour that Leveret serves, as a list: each row one point of RabbitMQ's behaviour, under the id that the names of
 * its tests begin with. `row-table.ts` finds the tests of each row and writes ROWS.md; `rows.test.ts` sees to it that no
 * row is without a test.
 *
 * The letters: N connection, A access, V virtual hosts and policies, H channels, X exchanges, Q queues, P publishing,
 * K consuming, D dead letters, QQ quorum queues, G configuration and operation. M metrics. What is
 * not served yet (pages) is not here.
 */

export interface Row {
  /** What is promised, in a few words. */
  readonly title: string;
  /** Why no test of the row says anything about a RabbitMQ 3.10, though it runs there. */
  readonly notChecked?: string;
  /** In what Leveret follows RabbitMQ 4.2, and not the 3.10 that the tests can be run on. */
  readonly differs?: string;
}

export const rows = {
  N1: {
    title: "Protocol headers: 0-9-1 and 0-9 are spoken, any other is answered with a header",
    differs: "3.10 speaks 0-8 too",
  },
  N2: { title: "Server properties that client libraries branch on" },
  N3: {
    title: "Mechanisms and locales offered in connection.start",
    differs: "4.0 and later offer ANONYMOUS too",
  },
  N4: { title: "Client properties of any type, and the capabilities among them" },
  N5: { title: "A handshake has ten seconds" },
  N6: {
    title: "channel_max: what is offered, and what is agreed to",
    differs: "3.10 drops the socket without saying why",
  },
  N7: {
    title: "frame_max: what is offered, and what is agreed to",
    differs: "3.10 drops the socket without saying why",
  },
  N8: { title: "Heartbeats: the client's interval counts, any frame is a sign of life" },
  N9: { title: "The heartbeat frame: channel 0, no payload" },
  N10: {
    title: "connection.open: known hosts, missing virtual hosts, and those closed to the user",
  },
  N11: { title: "Damaged frames: too large, without an end octet, of an unknown type" },
  N12: { title: "Frames out of order" },
  N13: {
    title: "A body larger than announced, or than anything that can be",
    differs: "3.10 looks at the size only when the whole body is there",
  },
  N14: {
    title: "Fields and tables that cannot be decoded",
    differs: "3.10 ends the connection over a bad table without a word",
  },
  N15: {
    title: "Methods that nobody implements, or that do not fit the connection's state",
    differs: "3.10 drops the socket over an unknown method, without a word",
  },
  N16: { title: "Methods on a channel that is not open, and a second channel.open" },
  N17: { title: "What comes for a channel that is being closed is passed over" },
  N18: {
    title: "connection.close from either side",
    differs: "3.10 leaves it to the client to end the socket",
  },
  N19: { title: "The close method: reply text of 255 bytes at most, ids of the failing method" },
  N20: { title: "Which errors end a channel, and which the whole connection" },
  N21: { title: "connection.blocked and connection.unblocked, for connections that publish" },
  N22: { title: "connection.update-secret" },
  N23: { title: "TLS, certificates of clients, and logging in by them" },
  N25: { title: "Connections that the broker closes: texts of a forced close" },
  N26: { title: "Limits on connections and channels" },
  N27: { title: "Field tables: every type of value in both directions" },
  N28: { title: "Method ids and flags that differ from what one expects" },

  A1: {
    title: "PLAIN, without an authorization id",
    differs: "3.10 drops the socket over a malformed response, without a word",
  },
  A2: {
    title: "AMQPLAIN, a table without its length",
    differs: "3.10 drops the socket over a malformed response, without a word",
  },
  A3: {
    title: "Refused logins, for clients that can be told and those that cannot",
    differs: "3.10 drops the socket over an unknown mechanism, without a word",
  },
  A4: { title: "guest may log in from anywhere, or from loopback alone where that is wanted" },
  A5: { title: "User tags, and the impersonator's right to any user-id" },
  A6: { title: "Permissions to configure, write and read: which method asks for which" },
  A7: { title: "The words of a refused permission" },
  A8: { title: "A passive declare asks for no permission" },
  A9: { title: "Topic permissions" },
  A10: { title: "Password hashes as RabbitMQ makes them" },
  A11: { title: "Permissions that change while a channel is open" },
  A13: { title: "The user-id property is the publisher's own name" },
  A14: { title: "The default user" },
  A15: {
    title: "Further default users",
    notChecked: "newer than 3.10, and a matter of the node's configuration",
  },

  V1: { title: "Virtual hosts come and go, with their connections" },
  V2: { title: "What a virtual host says of itself, and its protection from deletion" },
  V3: { title: "The default queue type of a virtual host" },
  V4: { title: "Limits of a virtual host" },
  V5: { title: "Limits of a user" },
  V6: { title: "Policies" },
  V7: { title: "Policies that are refused" },
  V8: { title: "Operator policies" },
  V9: { title: "Which policies apply to a queue or an exchange, and what they come to" },
  V10: { title: "Runtime parameters and global parameters" },
  V11: { title: "Definitions: export and import" },
  V12: {
    title: "Definitions at the start",
    notChecked: "a RabbitMQ would have to be started for each test",
  },
  V13: {
    title: "Limits on queues and exchanges of the whole broker, and limits of new virtual hosts",
    notChecked: "newer than 3.10, and a matter of the node's configuration",
  },
  V14: {
    title: "What the broker writes into messages on their way in",
    notChecked: "newer than 3.10, and a matter of the node's configuration",
  },

  H1: { title: "Opening and closing a channel" },
  H2: { title: "channel.flow" },
  H3: { title: "access.request" },
  H4: { title: "The queue declared last, where a name is empty" },
  H5: { title: "nowait: no answer, and errors all the same" },
  H6: { title: "Transactions" },
  H7: { title: "Commands during a commit" },
  H8: { title: "Errors of a publication come later than their cause" },

  X1: { title: "The exchanges that are there from the start" },
  X2: { title: "Declaring an exchange again" },
  X3: {
    title: "Unknown exchange types",
    differs: "3.10 closes the connection with 503, 4.x the channel with 406",
  },
  X4: { title: "What the default exchange does not allow" },
  X5: { title: "Reserved and odd names of exchanges" },
  X6: { title: "Passive declares of exchanges" },
  X7: { title: "Deleting exchanges" },
  X8: { title: "Auto-delete exchanges" },
  X9: { title: "Internal exchanges" },
  X10: { title: "Durable and transient exchanges and bindings" },
  X11: { title: "direct" },
  X12: { title: "fanout" },
  X13: { title: "topic" },
  X14: { title: "headers" },
  X15: { title: "Alternate exchanges" },
  X16: { title: "Exchanges bound to exchanges" },
  X17: { title: "Bindings: what makes them one, and what happens when an end is missing" },
  X18: { title: "The default exchange's bindings" },
  X19: { title: "CC and BCC" },
  X20: { title: "x-consistent-hash" },
  X21: { title: "x-modulus-hash" },
  X22: { title: "x-random" },
  X24: { title: "x-recent-history" },
  X26: { title: "x-delayed-message", notChecked: "a plugin that has to be got elsewhere" },

  Q1: { title: "queue.declare and declare-ok" },
  Q2: { title: "Declaring a queue again" },
  Q3: { title: "The names of field types in error texts" },
  Q4: { title: "Names made by the server" },
  Q5: { title: "Reserved and odd names of queues" },
  Q6: { title: "Passive declares of queues" },
  Q7: { title: "Durable and transient queues" },
  Q8: { title: "Exclusive queues" },
  Q9: { title: "Auto-delete queues" },
  Q10: { title: "queue.delete" },
  Q11: { title: "queue.purge" },
  Q12: { title: "Arguments that are unknown, or of another type of queue" },
  Q13: { title: "Arguments with bad values" },
  Q14: { title: "x-queue-type" },
  Q15: { title: "x-message-ttl and expiration" },
  Q16: { title: "x-expires" },
  Q17: { title: "x-max-length and x-max-length-bytes" },
  Q18: { title: "x-overflow: drop-head" },
  Q19: { title: "x-overflow: reject-publish" },
  Q20: { title: "x-overflow: reject-publish-dlx" },
  Q21: { title: "x-dead-letter-exchange and x-dead-letter-routing-key" },
  Q22: { title: "x-dead-letter-strategy" },
  Q23: { title: "x-max-priority" },
  Q24: { title: "Priorities of quorum queues", notChecked: "3.10 has none" },
  Q25: { title: "x-single-active-consumer" },
  Q26: { title: "x-delivery-limit", differs: "3.10 has no limit by default" },
  Q27: { title: "Delayed retry", notChecked: "new in 4.3" },
  Q28: { title: "x-queue-mode" },
  Q29: { title: "x-queue-version" },
  Q30: { title: "x-queue-master-locator" },
  Q31: {
    title: "Arguments that place a queue's replicas",
    differs: "3.10 has x-queue-leader-locator for quorum queues and streams only",
  },
  Q32: { title: "x-max-in-memory-length and x-max-in-memory-bytes" },
  Q33: { title: "x-consumer-timeout", notChecked: "3.10 has no timeout of a queue's own" },
  Q34: { title: "The consumer argument x-cancel-on-ha-failover" },
  Q35: { title: "Policies for mirrored queues", differs: "3.10 has mirrored queues" },
  Q36: { title: "Persistent messages of durable queues outlive the broker" },
  Q38: { title: "The order of a classic queue after a requeue" },

  P1: {
    title: "The order in which a publication is checked",
    differs: "3.10 looks at the user-id before expiration, CC and BCC",
  },
  P2: { title: "The largest message", differs: "128 MiB in 3.10, 16 MiB in 4.x" },
  P3: { title: "Publishing to an exchange that is not there" },
  P4: { title: "mandatory" },
  P5: { title: "immediate" },
  P6: { title: "Properties are passed on untouched" },
  P7: { title: "What an expiration may look like" },
  P8: { title: "Publisher confirms" },
  P9: { title: "A second confirm.select" },
  P10: { title: "Empty bodies" },
  P11: { title: "Bodies of several frames" },
  P12: { title: "The order of messages" },
  P13: {
    title: "Direct reply-to",
    differs: "a mandatory reply that arrives is returned as well by 3.10",
  },
  P17: {
    title: "Publishing on a blocked connection",
    notChecked: "an alarm would block whoever else uses the node",
  },
  P19: { title: "De-duplication", notChecked: "RabbitMQ has none" },

  K1: { title: "basic.consume" },
  K2: { title: "Exclusive consumers" },
  K3: { title: "Consumer priorities" },
  K4: { title: "Consumers take turns" },
  K5: { title: "basic.cancel from the client" },
  K6: { title: "basic.cancel from the server" },
  K7: { title: "basic.qos for each consumer" },
  K8: { title: "basic.qos for a channel" },
  K9: { title: "A prefetch in octets" },
  K10: { title: "basic.get" },
  K11: { title: "ack, nack, reject and their delivery tags" },
  K12: { title: "Where a requeued message goes" },
  K13: { title: "redelivered" },
  K14: { title: "basic.recover" },
  K15: { title: "Consuming without acknowledgements" },
  K16: {
    title: "The time a consumer has for an acknowledgement",
    notChecked: "half an hour, which only the configuration of the node can change",
  },
  K19: { title: "A consumer that does not read" },

  D1: { title: "Why messages are dead-lettered" },
  D2: { title: "Where dead letters go" },
  D3: {
    title: "x-death",
    differs:
      "original-expiration is the first field in 4.x; 3.10 turns deaths around from the third on",
  },
  D4: {
    title: "x-first-death-* and x-last-death-*",
    differs: "x-last-death-* since 3.13",
  },
  D5: { title: "An x-death that the client sent", differs: "3.10 counts on from it" },
  D6: { title: "Dead letters that go round in circles" },
  D7: { title: "The order of dead letters" },
  D8: { title: "Dead letters into a queue that is full" },
  D9: { title: "Dead letters through the default exchange, and back to their queue" },
  D10: {
    title: "Dead letters as metrics",
    notChecked: "their names are those of RabbitMQ's plugin",
  },

  QQ1: { title: "Quorum queues are durable, shared, and named by the client" },
  QQ2: { title: "The delivery limit of quorum queues" },
  QQ3: { title: "x-delivery-count" },
  QQ4: { title: "What quorum queues do not have" },
  QQ5: { title: "A prefetch of 0 on quorum queues", notChecked: "3.10 has no limit there" },
  QQ6: { title: "The order of a quorum queue after a requeue" },
  QQ7: { title: "The consumer timeout of quorum queues", notChecked: "as K16" },
  QQ8: { title: "What counts as a failed delivery" },

  G1: { title: "The management HTTP API" },
  M1: {
    title: "Metrics for Prometheus",
    notChecked: "their names are those of RabbitMQ's plugin and dashboards",
  },
  M2: { title: "The firehose: copies of what is published and delivered in a virtual host" },
  M6: {
    title: "The memory alarm",
    notChecked: "the watermark of a node is changed by its configuration and by rabbitmqctl",
  },
  M7: {
    title: "Counts as they are now",
    notChecked: "RabbitMQ shows those of some seconds ago",
  },

  G3: { title: "rabbitmqctl" },
  G4: { title: "rabbitmq-diagnostics" },
  G5: { title: "rabbitmq-plugins" },
  G6: { title: "rabbitmqadmin in the grammar of the Python script" },
  G7: {
    title: "rabbitmqadmin in the grammar of the Rust program",
    notChecked: "3.10 comes with the Python script alone",
  },
  G8: { title: "rabbitmq.conf and conf.d" },
  G10: { title: "enabled_plugins" },
  G11: { title: "Variables of the server" },
  G12: { title: "Variables of the container image" },
  G13: { title: "The container: what is where, and what starts it" },
  G14: { title: "Lines of the log that tools wait for, and those of each connection" },
  G15: { title: "Signals, and what is left after them" },
  G16: { title: "The aliveness test" },
  G17: { title: "Health checks", differs: "several checks are newer than 3.10" },
  G18: { title: "The cluster of one node" },
  G19: { title: "Feature flags and deprecated features" },
  G20: { title: "Logging in to the API, and what user tags allow there" },
  G22: { title: "Resetting", notChecked: "nobody else's node is to be reset" },
  G21: { title: "Rates", notChecked: "they depend on when RabbitMQ took its samples" },
} as const satisfies Record<string, Row>;

export type RowId = keyof typeof rows;

/** Rows whose tests are still to come. */
export const pending: ReadonlySet<RowId> = new Set<RowId>();
