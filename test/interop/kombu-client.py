"""
What an application does with kombu, the library under Celery: a line for each thing that works.

    /usr/bin/python3 kombu-client.py amqp://guest:guest@127.0.0.1:5672

Besides what every client here does: what Celery needs, that is SimpleQueue, a task queue with priorities,
and the pidbox through which workers are commanded.

Stops with a traceback and exit code 1 at the first thing that does not work. Queues expire by themselves
and exchanges are auto-delete, so a failed run leaves next to nothing behind.
"""

import datetime
import decimal
import os
import sys
import threading
from collections import deque

import amqp
from kombu import Connection, Consumer, Exchange, Producer, Queue
from kombu.pidbox import Mailbox

COUNT = 1000
PREFETCH = 50
SECONDS = 5  # How long to wait for what the broker owes.
EXPIRES_SECONDS = 60

name = f"interop-kombu-{os.urandom(6).hex()}"
dead_exchange = Exchange(f"{name}.dlx", "fanout", durable=False, auto_delete=True)
dead_queue = Queue(f"{name}.dead", dead_exchange, expires=EXPIRES_SECONDS)
exchange = Exchange(name, "topic", auto_delete=True)
queue = Queue(
    f"{name}.work",
    exchange,
    routing_key="order.*.created",
    expires=EXPIRES_SECONDS,
    queue_arguments={"x-max-length": 100_000, "x-dead-letter-exchange": dead_exchange.name},
)


def check(condition, text):
    if not condition:
        raise AssertionError(text)


def ok(step):
    print(f"ok: {step}", flush=True)


class Inbox:
    """A consumer whose messages are taken one by one."""

    def __init__(self, connection, channel, from_queue, prefetch=PREFETCH):
        self.connection = connection
        self.messages = deque()
        self.consumer = Consumer(
            channel, [from_queue], on_message=self.messages.append, accept=["json", "text/plain"]
        )
        # What Celery asks: is the prefetch for a channel, as in the specification, or as in RabbitMQ?
        per_channel = connection.qos_semantics_matches_spec
        self.consumer.qos(prefetch_count=prefetch, apply_global=not per_channel)

    def __enter__(self):
        self.consumer.consume()
        return self

    def __exit__(self, *_):
        self.consumer.cancel()

    def next(self):
        while not self.messages:
            self.connection.drain_events(timeout=SECONDS)
        return self.messages.popleft()


def declare(channel):
    dead_queue(channel).declare()
    for _ in range(2):  # The second time nothing changes.
        check(queue(channel).declare() == queue.name, "the queue has another name")
    ok("declare an exchange, a durable queue with arguments and a binding")


def publish(producer):
    for n in range(COUNT):
        # With confirm_publish it returns when the broker has confirmed.
        producer.publish(
            {"n": n},
            exchange=exchange,
            routing_key=f"order.{n}.created",
            message_id=str(n),
            delivery_mode="persistent",
        )
    ok(f"publish {COUNT} messages with publisher confirms")


def ready_count(connection):
    with connection.channel() as channel:
        return queue(channel).queue_declare(passive=True).message_count


def consume(connection, channel):
    with Inbox(connection, channel, queue) as inbox:
        held = [inbox.next() for _ in range(PREFETCH)]
        ready = ready_count(connection)
        check(ready == COUNT - PREFETCH, f"{ready} ready with {PREFETCH} unacked")
        ok(f"hold {PREFETCH} unacked under a prefetch of {PREFETCH}, {ready} stay ready")
        for n in range(COUNT):
            message = held.pop(0) if held else inbox.next()
            check(message.payload == {"n": n}, (n, message.payload))
            info = message.delivery_info
            check((info["exchange"], info["redelivered"]) == (exchange.name, False), info)
            check(info["routing_key"] == f"order.{n}.created", info)
            properties = message.properties
            check((properties["message_id"], properties["delivery_mode"]) == (str(n), 2), properties)
            message.ack()
    ok(f"consume {COUNT} messages in order with acks")


def dead_letter(connection, channel, producer):
    producer.publish("bad", exchange=exchange, routing_key="order.bad.created")
    with Inbox(connection, channel, queue) as inbox:
        inbox.next().reject()
    with Inbox(connection, channel, dead_queue) as inbox:
        message = inbox.next()
    check(message.payload == "bad", message.payload)
    (death,) = message.headers["x-death"]
    check(isinstance(death.pop("time"), datetime.datetime), death)
    expected = {
        "count": 1,
        "reason": "rejected",
        "queue": queue.name,
        "exchange": exchange.name,
        "routing-keys": ["order.bad.created"],
    }
    check(death == expected, death)
    firsts = [message.headers[f"x-first-death-{key}"] for key in ("exchange", "queue", "reason")]
    check(firsts == [exchange.name, queue.name, "rejected"], firsts)
    message.ack()
    ok("reject into the dead letter queue with x-death")


def mandatory(channel):
    returned = []
    producer = Producer(channel, on_return=lambda *args: returned.append(args))
    producer.publish("lost", exchange=exchange, routing_key="nobody.listens", mandatory=True)
    # The return comes before the confirm, and publish has waited for the confirm.
    ((error, from_exchange, routing_key, message),) = returned
    check((error.reply_code, error.reply_text) == (312, "NO_ROUTE"), error)
    check((from_exchange, routing_key, message.body) == (name, "nobody.listens", "lost"), message)
    ok("return a mandatory message that has no queue")


def get(channel, producer):
    for body in ("first", "second"):
        producer.publish(body, routing_key=queue.name)
    bound = queue(channel)
    message = bound.get()
    check((message.payload, message.delivery_info["message_count"]) == ("first", 1), message)
    message.ack()
    check(bound.get(no_ack=True).payload == "second", "the second message")
    check(bound.get() is None, "the queue is not empty")
    ok("get one message, then find the queue empty")


def miss_queue(connection):
    missing = f"{name}.missing"
    try:
        Queue(missing, channel=connection.channel()).queue_declare(passive=True)
    except amqp.exceptions.NotFound as error:
        check(error.code == 404, error)
        check(error.reply_text.startswith(f"NOT_FOUND - no queue '{missing}' in vhost '"), error)
    else:
        raise AssertionError("there is such a queue")
    check(ready_count(connection) == 0, "the connection does not go on")
    ok("miss a queue with 404 and go on with the connection")


def headers(connection, channel, producer):
    sent = {
        "text": "héllo ✓",
        "empty": "",
        "small": 7,
        "negative": -40_000,
        "large": 2**62 + 1,
        "yes": True,
        "no": False,
        "ratio": 0.1,
        "price": decimal.Decimal("12.34"),
        "when": datetime.datetime(2024, 2, 29, 12, 30, 15),
        "nothing": None,
        "list": [1, "two", [3.5, None], {"four": 4}],
        "table": {"inner": {"deep": "yes"}, "n": 1},
    }
    properties = {
        "priority": 3,
        "correlation_id": "correlation",
        "reply_to": "reply",
        "message_id": "message",
        "timestamp": 1_700_000_000,
        "type": "type",
        "user_id": connection.userid,
        "app_id": "application",
    }
    producer.publish("x", routing_key=queue.name, headers=sent, expiration=60, **properties)
    message = queue(channel).get(no_ack=True)
    check(message.headers == sent, message.headers)
    got = {key: message.properties[key] for key in [*properties, "expiration"]}
    check(got == {**properties, "expiration": "60000"}, got)
    check((message.content_type, message.content_encoding) == ("text/plain", "utf-8"), message)
    ok("round-trip headers of several types")


def large_body(connection, channel, producer):
    body = os.urandom(512 * 1024).hex()
    producer.publish(body, routing_key=queue.name)
    with Inbox(connection, channel, queue) as inbox:
        message = inbox.next()
    check(message.payload == body, f"{len(message.payload)} other bytes")
    message.ack()
    ok("round-trip a body of 1 MiB")


def purge_and_delete(connection, channel, producer):
    bound = queue(channel)
    for body in ("one", "two", "three"):
        producer.publish(body, routing_key=queue.name)
    check(bound.purge() == 3, "purged another number than 3")
    producer.publish("four", routing_key=queue.name)
    check(ready_count(connection) == 1, "one message after the purge")
    check(bound.delete() == 1, "deleted another number than 1")
    dead_queue(channel).delete()
    # They went with their last binding; deleting what is not there is no error.
    exchange(channel).delete()
    dead_exchange(channel).delete()
    ok("purge and delete")


def simple_queue(connection):
    options = {"expires": EXPIRES_SECONDS}
    with connection.SimpleQueue(f"{name}.simple", queue_opts=options) as simple:
        for n in range(3):
            simple.put({"n": n}, headers={"n": n})
        check(len(simple) == 3, f"{len(simple)} messages")
        for n in range(3):
            message = simple.get(timeout=SECONDS)
            check((message.payload, message.headers) == ({"n": n}, {"n": n}), message)
            message.ack()
        check(simple.clear() == 0, "messages are left")
        simple.consumer.cancel()
        simple.queue.delete()
        simple.queue.exchange.delete()
    ok("pass messages through a SimpleQueue")


def task_queue(connection, channel):
    """As Celery: a direct exchange, a queue of the same name, priorities, late acks."""
    tasks = f"{name}.celery"
    task_exchange = Exchange(tasks, "direct", auto_delete=True)
    task_queue = Queue(tasks, task_exchange, tasks, expires=EXPIRES_SECONDS, max_priority=9)
    producer = Producer(channel, task_exchange, tasks)
    for priority in (0, 9, 5, 9):
        task = f"task.{priority}"
        producer.publish(
            [[priority], {}, {}],
            declare=[task_queue],
            priority=priority,
            headers={"task": task, "id": task, "retries": 0, "timelimit": [None, None]},
        )
    order = []
    with Inbox(connection, channel, task_queue, prefetch=1) as inbox:
        for _ in range(4):
            message = inbox.next()
            order.append(message.headers["task"])
            message.ack_log_error(None, ())
    check(order == ["task.9", "task.9", "task.5", "task.0"], order)
    task_queue(channel).delete()
    ok("run tasks by priority")


def command_worker(url):
    """A worker on one connection answers the ping of a commander on another."""
    mailbox = Mailbox(name, type="fanout")
    with Connection(url) as worker, Connection(url) as commander:
        handlers = {"ping": lambda state: {"ok": "pong"}}
        node = mailbox(worker).Node("worker@here", channel=worker.channel(), handlers=handlers)
        commands = mailbox(commander)
        with node.listen():
            answering = threading.Thread(target=worker.drain_events, kwargs={"timeout": SECONDS})
            answering.start()
            replies = commands.call(["worker@here"], "ping", timeout=SECONDS)
            answering.join()
        check(replies == [{"worker@here": {"ok": "pong"}}], replies)
        for left in (commands.reply_queue, commands.reply_exchange, commands.exchange):
            left(commander.default_channel).delete()
    ok("command a worker through its pidbox")


def main(url):
    connection = Connection(url, transport_options={"confirm_publish": True})
    connection.connect()
    ok("connect")
    channel = connection.channel()
    producer = Producer(channel)
    declare(channel)
    publish(producer)
    consume(connection, channel)
    dead_letter(connection, channel, producer)
    mandatory(connection.channel())
    get(channel, producer)
    miss_queue(connection)
    headers(connection, channel, producer)
    large_body(connection, channel, producer)
    purge_and_delete(connection, channel, producer)
    simple_queue(connection)
    task_queue(connection, channel)
    command_worker(url)
    connection.release()
    check(not connection.connected, "the connection is open")
    ok("close")


main(sys.argv[1])
