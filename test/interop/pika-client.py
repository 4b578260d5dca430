"""
What an application does with pika, the usual Python client: a line for each thing that works.

    /usr/bin/python3 pika-client.py amqp://guest:guest@127.0.0.1:5672

Stops with a traceback and exit code 1 at the first thing that does not. Queues expire by themselves and
exchanges are auto-delete, so a failed run leaves nothing behind for long.
"""

import datetime
import decimal
import os
import sys

import pika

COUNT = 1000
PREFETCH = 50
EXPIRES = {"x-expires": 60_000}
PERSISTENT = 2

name = f"interop-pika-{os.urandom(6).hex()}"
exchange, queue, dead_exchange, dead_queue = name, f"{name}.work", f"{name}.dlx", f"{name}.dead"


def check(condition, text):
    if not condition:
        raise AssertionError(text)


def ok(step):
    print(f"ok: {step}", flush=True)


def declare(channel):
    channel.exchange_declare(dead_exchange, "fanout", auto_delete=True)
    channel.queue_declare(dead_queue, durable=True, arguments=EXPIRES)
    channel.queue_bind(dead_queue, dead_exchange)
    channel.exchange_declare(exchange, "topic", durable=True, auto_delete=True)
    arguments = {**EXPIRES, "x-max-length": 100_000, "x-dead-letter-exchange": dead_exchange}
    for _ in range(2):  # The second time nothing changes.
        declared = channel.queue_declare(queue, durable=True, arguments=arguments).method
        check((declared.queue, declared.message_count) == (queue, 0), declared)
    channel.queue_bind(queue, exchange, "order.*.created")
    ok("declare an exchange, a durable queue with arguments and a binding")


def publish(channel):
    channel.confirm_delivery()
    for n in range(COUNT):
        # In this mode it returns when the broker has confirmed, and raises when it refuses.
        channel.basic_publish(
            exchange,
            f"order.{n}.created",
            f"message {n}",
            pika.BasicProperties(delivery_mode=PERSISTENT, message_id=str(n)),
        )
    ok(f"publish {COUNT} messages with publisher confirms")


def next_message(channel, from_queue=None):
    method, properties, body = next(channel.consume(from_queue or queue, inactivity_timeout=5))
    check(method is not None, "no message came for 5 seconds")
    return method, properties, body


def ready_count(connection):
    channel = connection.channel()
    count = channel.queue_declare(queue, passive=True).method.message_count
    channel.close()
    return count


def consume(connection, channel):
    channel.basic_qos(prefetch_count=PREFETCH)
    for n in range(COUNT):
        method, properties, body = next_message(channel)
        check(body == b"message %d" % n, (n, body))
        check(method.routing_key == f"order.{n}.created", method)
        check((method.exchange, method.redelivered) == (exchange, False), method)
        check((properties.message_id, properties.delivery_mode) == (str(n), PERSISTENT), properties)
        if n == PREFETCH - 1:
            ready = ready_count(connection)
            check(ready == COUNT - PREFETCH, f"{ready} ready with {PREFETCH} unacked")
            ok(f"hold {PREFETCH} unacked under a prefetch of {PREFETCH}, {ready} stay ready")
            channel.basic_ack(method.delivery_tag, multiple=True)
        elif n >= PREFETCH:
            channel.basic_ack(method.delivery_tag)
    ok(f"consume {COUNT} messages in order with acks")


def dead_letter(channel):
    channel.basic_publish(exchange, "order.bad.created", "bad")
    method, _, body = next_message(channel)
    check(body == b"bad", body)
    channel.basic_reject(method.delivery_tag, requeue=False)
    channel.cancel()
    method, properties, body = next_message(channel, dead_queue)
    check((body, method.routing_key) == (b"bad", "order.bad.created"), (body, method))
    (death,) = properties.headers["x-death"]
    check(isinstance(death.pop("time"), datetime.datetime), death)
    expected = {
        "count": 1,
        "reason": "rejected",
        "queue": queue,
        "exchange": exchange,
        "routing-keys": ["order.bad.created"],
    }
    check(death == expected, death)
    firsts = [properties.headers[f"x-first-death-{key}"] for key in ("exchange", "queue", "reason")]
    check(firsts == [exchange, queue, "rejected"], firsts)
    channel.basic_ack(method.delivery_tag)
    channel.cancel()
    ok("reject into the dead letter queue with x-death")


def mandatory(channel):
    try:
        channel.basic_publish(exchange, "nobody.listens", "lost", mandatory=True)
    except pika.exceptions.UnroutableError as error:
        (returned,) = error.messages
        check((returned.method.reply_code, returned.method.reply_text) == (312, "NO_ROUTE"), returned)
        check((returned.method.exchange, returned.body) == (exchange, b"lost"), returned)
    else:
        raise AssertionError("the message was not returned")
    ok("return a mandatory message that has no queue")


def get(channel):
    for body in ("first", "second"):
        channel.basic_publish("", queue, body)
    method, _, body = channel.basic_get(queue)
    check((body, method.message_count, method.routing_key) == (b"first", 1, queue), method)
    channel.basic_ack(method.delivery_tag)
    check(channel.basic_get(queue, auto_ack=True)[2] == b"second", "the second message")
    check(channel.basic_get(queue) == (None, None, None), "the queue is not empty")
    ok("get one message, then find the queue empty")


def miss_queue(connection):
    missing = f"{name}.missing"
    channel = connection.channel()
    try:
        channel.queue_declare(missing, passive=True)
    except pika.exceptions.ChannelClosedByBroker as error:
        check(error.reply_code == 404, error)
        check(error.reply_text.startswith(f"NOT_FOUND - no queue '{missing}' in vhost '"), error)
    else:
        raise AssertionError("there is such a queue")
    check(ready_count(connection) == 0, "the connection does not go on")
    ok("miss a queue with 404 and go on with the connection")


def headers(channel):
    when = datetime.datetime(2024, 2, 29, 12, 30, 15)
    # pika 1.2 cannot send floating-point numbers.
    sent = {
        "text": "héllo ✓",
        "empty": "",
        "bytes": b"\x00\xff\x10",
        "small": 7,
        "negative": -40_000,
        "large": 2**62 + 1,
        "yes": True,
        "no": False,
        "price": decimal.Decimal("12.34"),
        "when": when,
        "nothing": None,
        "list": [1, "two", [3, None], {"four": 4}],
        "table": {"inner": {"deep": "yes"}, "n": 1},
    }
    properties = pika.BasicProperties(
        content_type="text/plain",
        content_encoding="utf-8",
        headers=sent,
        delivery_mode=1,
        priority=3,
        correlation_id="correlation",
        reply_to="reply",
        expiration="60000",
        message_id="message",
        timestamp=1_700_000_000,
        type="type",
        user_id=parameters.credentials.username,
        app_id="application",
    )
    channel.basic_publish("", queue, "", properties)
    _, received, body = channel.basic_get(queue, auto_ack=True)
    check(received.headers == sent, received.headers)
    check(received == properties and body == b"", received)
    ok("round-trip headers of several types")


def large_body(channel):
    body = os.urandom(1024 * 1024)
    channel.basic_publish("", queue, body)
    method, _, received = next_message(channel)
    check(received == body, f"{len(received)} other bytes")
    channel.basic_ack(method.delivery_tag)
    channel.cancel()
    ok("round-trip a body of 1 MiB")


def purge_and_delete(connection, channel):
    for body in ("one", "two", "three"):
        channel.basic_publish("", queue, body)
    check(channel.queue_purge(queue).method.message_count == 3, "purged another number than 3")
    channel.basic_publish("", queue, "four")
    check(ready_count(connection) == 1, "one message after the purge")
    check(channel.queue_delete(queue).method.message_count == 1, "deleted another number than 1")
    channel.queue_delete(dead_queue)
    # They went with their last binding; deleting what is not there is no error.
    channel.exchange_delete(exchange)
    channel.exchange_delete(dead_exchange)
    ok("purge and delete")


def main():
    connection = pika.BlockingConnection(parameters)
    ok("connect")
    channel = connection.channel()
    declare(channel)
    publish(channel)
    consume(connection, channel)
    dead_letter(channel)
    mandatory(channel)
    get(channel)
    miss_queue(connection)
    headers(channel)
    large_body(channel)
    purge_and_delete(connection, channel)
    connection.close()
    check(connection.is_closed, "the connection is open")
    ok("close")


parameters = pika.URLParameters(sys.argv[1])
main()
