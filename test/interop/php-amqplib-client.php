<?php
/**
 * What an application does with php-amqplib, the usual PHP client: a line for each thing that works. It logs in
 * with AMQPLAIN, its default.
 *
 *     php php-amqplib-client.php amqp://guest:guest@127.0.0.1:5672
 *
 * Stops with an uncaught exception and exit code 255 at the first thing that does not. Queues expire by
 * themselves and exchanges are auto-delete, so a failed run leaves nothing behind for long.
 */

declare(strict_types=1);

// Debian's package; with Composer it would be vendor/autoload.php.
require_once 'PhpAmqpLib/autoload.php';

use PhpAmqpLib\Channel\AMQPChannel;
use PhpAmqpLib\Connection\AMQPStreamConnection;
use PhpAmqpLib\Exception\AMQPProtocolChannelException;
use PhpAmqpLib\Message\AMQPMessage;
use PhpAmqpLib\Wire\AMQPTable;

const COUNT = 1000;
const PREFETCH = 50;
const SECONDS = 5; // How long to wait for what the broker owes.
const EXPIRES = ['x-expires' => 60_000];

function check(bool $condition, mixed $detail): void
{
    if (!$condition) {
        throw new RuntimeException('unexpected: ' . var_export($detail, true));
    }
}

/** Of the same types too; the order of an array's keys does not matter. */
function same(mixed $actual, mixed $expected): void
{
    if (is_array($actual) && is_array($expected)) {
        ksort($actual);
        ksort($expected);
    }
    if ($actual !== $expected) {
        throw new RuntimeException(
            'expected ' . var_export($expected, true) . ', got ' . var_export($actual, true)
        );
    }
}

function ok(string $step): void
{
    echo "ok: $step\n";
}

/** A consumer whose messages are taken one by one. */
final class Inbox
{
    private array $messages = [];
    private string $consumerTag;

    public function __construct(private AMQPChannel $channel, string $queue)
    {
        $take = function (AMQPMessage $message): void {
            $this->messages[] = $message;
        };
        $this->consumerTag = $channel->basic_consume($queue, callback: $take);
    }

    public function next(): AMQPMessage
    {
        while ($this->messages === []) {
            $this->channel->wait(null, false, SECONDS);
        }
        return array_shift($this->messages);
    }

    public function cancel(): void
    {
        $this->channel->basic_cancel($this->consumerTag);
    }
}

final class Application
{
    private AMQPStreamConnection $connection;
    private AMQPChannel $channel;
    private string $user;
    private string $exchange;
    private string $queue;
    private string $deadExchange;
    private string $deadQueue;

    public function __construct(string $url)
    {
        $this->exchange = 'interop-php-' . bin2hex(random_bytes(6));
        $this->queue = "$this->exchange.work";
        $this->deadExchange = "$this->exchange.dlx";
        $this->deadQueue = "$this->exchange.dead";

        $parts = parse_url($url);
        $this->user = urldecode($parts['user']);
        $vhost = urldecode(substr($parts['path'] ?? '', 1));
        $this->connection = new AMQPStreamConnection(
            $parts['host'],
            $parts['port'],
            $this->user,
            urldecode($parts['pass']),
            $vhost === '' ? '/' : $vhost
        );
        ok('connect');
        $this->channel = $this->connection->channel();
    }

    public function declare(): void
    {
        $this->channel->exchange_declare($this->deadExchange, 'fanout');
        $this->channel->queue_declare(
            $this->deadQueue,
            durable: true,
            auto_delete: false,
            arguments: new AMQPTable(EXPIRES)
        );
        $this->channel->queue_bind($this->deadQueue, $this->deadExchange);
        $this->channel->exchange_declare($this->exchange, 'topic', durable: true);
        $arguments = EXPIRES + [
            'x-max-length' => 100_000,
            'x-dead-letter-exchange' => $this->deadExchange,
        ];
        for ($round = 0; $round < 2; $round++) { // The second time nothing changes.
            $declared = $this->channel->queue_declare(
                $this->queue,
                durable: true,
                auto_delete: false,
                arguments: new AMQPTable($arguments)
            );
            same($declared, [$this->queue, 0, 0]);
        }
        $this->channel->queue_bind($this->queue, $this->exchange, 'order.*.created');
        ok('declare an exchange, a durable queue with arguments and a binding');
    }

    public function publish(): void
    {
        $this->channel->confirm_select();
        $confirmed = 0;
        $this->channel->set_ack_handler(function () use (&$confirmed): void {
            $confirmed++;
        });
        $this->channel->set_nack_handler(function (AMQPMessage $message): void {
            throw new RuntimeException("the broker refused {$message->getBody()}");
        });
        for ($n = 0; $n < COUNT; $n++) {
            $properties = ['delivery_mode' => 2, 'message_id' => (string) $n];
            $message = new AMQPMessage("message $n", $properties);
            $this->channel->basic_publish($message, $this->exchange, "order.$n.created");
        }
        $this->channel->wait_for_pending_acks(SECONDS);
        same($confirmed, COUNT);
        ok('publish ' . COUNT . ' messages with publisher confirms');
    }

    public function consume(): void
    {
        $this->channel->basic_qos(0, PREFETCH, false);
        $inbox = new Inbox($this->channel, $this->queue);
        $held = [];
        while (count($held) < PREFETCH) {
            $held[] = $inbox->next();
        }
        $ready = $this->readyCount();
        same($ready, COUNT - PREFETCH);
        ok('hold ' . PREFETCH . ' unacked under a prefetch of ' . PREFETCH . ", $ready stay ready");
        for ($n = 0; $n < COUNT; $n++) {
            $message = array_shift($held) ?? $inbox->next();
            same($message->getBody(), "message $n");
            same($message->getRoutingKey(), "order.$n.created");
            same([$message->getExchange(), $message->isRedelivered()], [$this->exchange, false]);
            same([$message->get('message_id'), $message->get('delivery_mode')], [(string) $n, 2]);
            $message->ack();
        }
        $inbox->cancel();
        ok('consume ' . COUNT . ' messages in order with acks');
    }

    private function readyCount(): int
    {
        $channel = $this->connection->channel();
        [, $messageCount] = $channel->queue_declare($this->queue, passive: true);
        $channel->close();
        return $messageCount;
    }

    public function deadLetter(): void
    {
        $bad = new AMQPMessage('bad');
        $this->channel->basic_publish($bad, $this->exchange, 'order.bad.created');
        $inbox = new Inbox($this->channel, $this->queue);
        $inbox->next()->reject(false);
        $inbox->cancel();
        $inbox = new Inbox($this->channel, $this->deadQueue);
        $message = $inbox->next();
        $inbox->cancel();
        same([$message->getBody(), $message->getRoutingKey()], ['bad', 'order.bad.created']);
        $headers = $message->get('application_headers')->getNativeData();
        same(count($headers['x-death']), 1);
        $death = $headers['x-death'][0];
        check($death['time'] instanceof DateTime, $death);
        unset($death['time']);
        same($death, [
            'count' => 1,
            'reason' => 'rejected',
            'queue' => $this->queue,
            'exchange' => $this->exchange,
            'routing-keys' => ['order.bad.created'],
        ]);
        same($headers['x-first-death-exchange'], $this->exchange);
        same($headers['x-first-death-queue'], $this->queue);
        same($headers['x-first-death-reason'], 'rejected');
        $message->ack();
        ok('reject into the dead letter queue with x-death');
    }

    public function mandatory(): void
    {
        $returned = [];
        $this->channel->set_return_listener(function (...$arguments) use (&$returned): void {
            $returned[] = $arguments;
        });
        $lost = new AMQPMessage('lost');
        $this->channel->basic_publish($lost, $this->exchange, 'nobody.listens', mandatory: true);
        // The return comes before the confirm, and the confirm is an ack.
        $this->channel->wait_for_pending_acks_returns(SECONDS);
        same(count($returned), 1);
        [$code, $text, $exchange, $routingKey, $message] = $returned[0];
        same([$code, $text], [312, 'NO_ROUTE']);
        same([$exchange, $routingKey], [$this->exchange, 'nobody.listens']);
        same($message->getBody(), 'lost');
        ok('return a mandatory message that has no queue');
    }

    public function get(): void
    {
        $this->publishToQueue('first');
        $this->publishToQueue('second');
        $message = $this->channel->basic_get($this->queue);
        same([$message->getBody(), $message->getMessageCount()], ['first', 1]);
        $message->ack();
        same($this->channel->basic_get($this->queue, true)->getBody(), 'second');
        same($this->channel->basic_get($this->queue), null);
        ok('get one message, then find the queue empty');
    }

    private function publishToQueue(string $body, array $properties = []): void
    {
        $this->channel->basic_publish(new AMQPMessage($body, $properties), '', $this->queue);
        $this->channel->wait_for_pending_acks(SECONDS);
    }

    public function missQueue(): void
    {
        $missing = "$this->exchange.missing";
        try {
            $this->connection->channel()->queue_declare($missing, passive: true);
            throw new RuntimeException('there is such a queue');
        } catch (AMQPProtocolChannelException $error) {
            same($error->amqp_reply_code, 404);
            $text = "NOT_FOUND - no queue '$missing' in vhost '";
            check(str_starts_with($error->amqp_reply_text, $text), $error->amqp_reply_text);
        }
        same($this->readyCount(), 0);
        ok('miss a queue with 404 and go on with the connection');
    }

    public function headers(): void
    {
        $sent = [
            'text' => 'héllo ✓',
            'empty' => '',
            'small' => 7,
            'negative' => -40_000,
            'large' => 2 ** 62 + 1,
            'yes' => true,
            'no' => false,
            'when' => new DateTime('2024-02-29T12:30:15Z'),
            'nothing' => null,
            'list' => [1, 'two', [true, null], ['four' => 4]],
            'table' => ['inner' => ['deep' => 'yes'], 'n' => 1],
        ];
        $properties = [
            'content_type' => 'text/plain',
            'content_encoding' => 'utf-8',
            'delivery_mode' => 1,
            'priority' => 3,
            'correlation_id' => 'correlation',
            'reply_to' => 'reply',
            'expiration' => '60000',
            'message_id' => 'message',
            'timestamp' => 1_700_000_000,
            'type' => 'type',
            'user_id' => $this->user,
            'app_id' => 'application',
        ];
        $table = new AMQPTable($sent);
        // Types that it does not choose by itself; floating-point numbers it cannot send at all.
        $chosen = ['short' => -300, 'byte' => 200, 'bytes' => "\0\xff\x10"];
        $table->set('short', $chosen['short'], AMQPTable::T_INT_SHORT);
        $table->set('byte', $chosen['byte'], AMQPTable::T_INT_SHORTSHORT_U);
        $table->set('bytes', $chosen['bytes'], AMQPTable::T_BYTES);
        $this->publishToQueue('', $properties + ['application_headers' => $table]);
        $message = $this->channel->basic_get($this->queue, true);
        $received = $message->get_properties();
        $headers = $received['application_headers']->getNativeData();
        // Two objects are never the same.
        same($headers['when']->getTimestamp(), $sent['when']->getTimestamp());
        unset($headers['when'], $sent['when'], $received['application_headers']);
        same($headers, $sent + $chosen);
        same($received, $properties);
        same($message->getBody(), '');
        ok('round-trip headers of several types');
    }

    public function largeBody(): void
    {
        $body = random_bytes(1024 * 1024);
        $this->publishToQueue($body);
        $inbox = new Inbox($this->channel, $this->queue);
        $message = $inbox->next();
        check($message->getBody() === $body, strlen($message->getBody()) . ' other bytes');
        $message->ack();
        $inbox->cancel();
        ok('round-trip a body of 1 MiB');
    }

    public function purgeAndDelete(): void
    {
        foreach (['one', 'two', 'three'] as $body) {
            $this->publishToQueue($body);
        }
        same($this->channel->queue_purge($this->queue), 3);
        $this->publishToQueue('four');
        same($this->readyCount(), 1);
        same($this->channel->queue_delete($this->queue), 1);
        $this->channel->queue_delete($this->deadQueue);
        // They went with their last binding; deleting what is not there is no error.
        $this->channel->exchange_delete($this->exchange);
        $this->channel->exchange_delete($this->deadExchange);
        ok('purge and delete');
    }

    public function close(): void
    {
        $this->connection->close();
        check(!$this->connection->isConnected(), 'the connection is open');
        ok('close');
    }
}

$application = new Application($argv[1]);
$application->declare();
$application->publish();
$application->consume();
$application->deadLetter();
$application->mandatory();
$application->get();
$application->missQueue();
$application->headers();
$application->largeBody();
$application->purgeAndDelete();
$application->close();
