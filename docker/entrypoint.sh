#!/bin/sh
# Starts Leveret as RabbitMQ's image starts RabbitMQ: /etc/rabbitmq configures it, /var/lib/rabbitmq keeps its data, the
# RABBITMQ_* variables mean the same, and every address is listened on.
set -eu

: "${LEVERET_MAIN:=/opt/leveret/dist/src/main.js}"

# Options alone, the words that start RabbitMQ, and our own: all start the broker. Anything else is run as it is.
case "${1:-}" in
  '' | -*) ;;
  leveret | rabbitmq-server) shift ;;
  *) exec "$@" ;;
esac

if [ -z "${LEVERET_HOST:-}${RABBITMQ_NODE_IP_ADDRESS:-}" ]; then
  # One socket for both families, where there are two.
  if [ -s /proc/net/if_inet6 ]; then LEVERET_HOST=::; else LEVERET_HOST=0.0.0.0; fi
  export LEVERET_HOST
fi
if [ -z "${LEVERET_DATA_DIR:-}${RABBITMQ_MNESIA_DIR:-}${RABBITMQ_MNESIA_BASE:-}" ]; then
  export LEVERET_DATA_DIR=/var/lib/rabbitmq/leveret
fi
if [ -z "${LEVERET_CONFIG:-}${RABBITMQ_CONFIG_FILE:-}" ] && [ -d /etc/rabbitmq ]; then
  export LEVERET_CONFIG=/etc/rabbitmq
fi

exec node "$LEVERET_MAIN" "$@"
