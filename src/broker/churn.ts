/** How much comes and goes: counts that only grow. */
export class Churn {
  connectionCreated = 0;
  connectionClosed = 0;
  channelCreated = 0;
  channelClosed = 0;
  /** Declared by a client, whether it was new or not. */
  queueDeclared = 0;
  queueCreated = 0;
  queueDeleted = 0;
}
