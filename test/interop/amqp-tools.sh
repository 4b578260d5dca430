#!/bin/sh
# What a shell script does with amqp-tools, the programs of the C library rabbitmq-c: a line for each thing
# that works.
#
#     sh amqp-tools.sh amqp://guest:guest@127.0.0.1:5672
#
# Each call is a connection of its own. These programs know neither publisher confirms nor the mandatory
# flag, declare no exchanges and no arguments, show no headers and have no passive declare. So here is less
# than in the other clients.
#
# Stops with a message and exit code 1 at the first thing that does not work.
set -eu

url=$1
count=1000
folder=$(mktemp -d)
name=interop-c-$(basename "$folder")
queue=$name.work
trap 'amqp-delete-queue --url="$url" --queue="$queue" >"$folder/left" 2>&1 || true; rm -r "$folder"' EXIT

ok() {
  echo "ok: $1"
}

fail() {
  echo "unexpected: $1" >&2
  exit 1
}

same() {
  [ "$1" = "$2" ] || fail "got '$1' where '$2' was expected"
}

# Runs a command that the broker must refuse with the given text: refused TEXT COMMAND...
refused() {
  text=$1
  shift
  if "$@" >"$folder/output" 2>"$folder/errors"; then fail "the broker did not refuse: $*"; fi
  grep --quiet --fixed-strings "$text" "$folder/errors" || fail "$(cat "$folder/errors")"
}

declare_queue() {
  same "$(amqp-declare-queue --url="$url" --queue="$queue" --durable)" "$queue"
  same "$(amqp-declare-queue --url="$url" --queue="$queue" --durable)" "$queue"
  ok "declare a durable queue twice"
  refused "error 406, message: PRECONDITION_FAILED - inequivalent arg 'durable' for queue '$queue'" \
    amqp-declare-queue --url="$url" --queue="$queue"
  ok "differ in durable and be refused with 406"
}

publish_and_consume() {
  seq --format="message %g" $count >"$folder/sent"
  amqp-publish --url="$url" --routing-key="$queue" --persistent --line-buffered <"$folder/sent"
  ok "publish $count messages"
  amqp-consume --url="$url" --queue="$queue" --count=$count --prefetch-count=50 cat >"$folder/received"
  cmp "$folder/sent" "$folder/received"
  ok "consume $count messages in order with acks"
}

# The command that is run for a message fails, so the message is not acked.
requeue() {
  amqp-publish --url="$url" --routing-key="$queue" --body="try me again"
  amqp-consume --url="$url" --queue="$queue" --count=1 false || true
  same "$(amqp-consume --url="$url" --queue="$queue" --count=1 cat)" "try me again"
  ok "get a message again that was not acked"
}

get() {
  for body in first second; do
    amqp-publish --url="$url" --routing-key="$queue" --body=$body
  done
  same "$(amqp-get --url="$url" --queue="$queue")" first
  same "$(amqp-get --url="$url" --queue="$queue")" second
  status=0
  amqp-get --url="$url" --queue="$queue" || status=$?
  same $status 2
  ok "get messages, then find the queue empty"
}

# A server-named exclusive queue bound to a topic exchange. Nothing tells when it is bound, so one message is
# published after another until one comes through.
subscribe() {
  amqp-consume --url="$url" --exchange=amq.topic --routing-key="$name.*.created" --count=1 cat \
    >"$folder/subscribed" 2>"$folder/queue" &
  consumer=$!
  tries=0
  while kill -0 $consumer 2>"$folder/errors"; do
    tries=$((tries + 1))
    [ $tries -le 100 ] || { kill $consumer; fail "the subscriber got nothing"; }
    amqp-publish --url="$url" --exchange=amq.topic --routing-key="$name.17.created" --body=created
  done
  wait $consumer
  same "$(cat "$folder/subscribed")" created
  grep --quiet "amq.gen-" "$folder/queue" || fail "the queue's name: $(cat "$folder/queue")"
  ok "subscribe to a topic exchange"
}

miss() {
  refused "error 404, message: NOT_FOUND - no queue '$name.missing' in vhost '" \
    amqp-get --url="$url" --queue="$name.missing"
  ok "miss a queue with 404"
  refused "error 404, message: NOT_FOUND - no exchange '$name.missing' in vhost '" \
    amqp-publish --url="$url" --exchange="$name.missing" --body=lost
  ok "miss an exchange with 404"
}

large_body() {
  head --bytes=1048576 /dev/urandom >"$folder/large"
  amqp-publish --url="$url" --routing-key="$queue" --header="size: 1 MiB" <"$folder/large"
  amqp-get --url="$url" --queue="$queue" | cmp - "$folder/large"
  ok "round-trip a body of 1 MiB"
}

delete() {
  amqp-publish --url="$url" --routing-key="$queue" --body=rest
  refused "error 406, message: PRECONDITION_FAILED - queue '$queue' in vhost '" \
    amqp-delete-queue --url="$url" --queue="$queue" --if-empty
  same "$(amqp-delete-queue --url="$url" --queue="$queue")" 1
  refused "error 404" amqp-get --url="$url" --queue="$queue"
  ok "delete, but not what must be empty and is not"
}

declare_queue
publish_and_consume
requeue
get
subscribe
miss
large_body
delete
