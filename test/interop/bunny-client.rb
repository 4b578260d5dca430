# What an application does with Bunny, the usual Ruby client: a line for each thing that works.
#
#     ruby bunny-client.rb amqp://guest:guest@127.0.0.1:5672
#
# Stops with a stack trace and exit code 1 at the first thing that does not. Queues expire by themselves and
# exchanges are auto-delete, so a failed run leaves nothing behind for long.

require "bunny"
require "securerandom"
require "timeout"

COUNT = 1000
PREFETCH = 50
SECONDS = 5 # How long to wait for what the broker owes.
EXPIRES = { "x-expires" => 60_000 }.freeze
NAME = "interop-bunny-#{SecureRandom.hex(6)}".freeze

def check(condition, text)
  raise text.to_s unless condition
end

def ok(step)
  puts "ok: #{step}"
  $stdout.flush
end

# A consumer whose messages are taken one by one, each as [delivery info, properties, body].
def with_inbox(queue)
  messages = Thread::Queue.new
  consumer = queue.subscribe(manual_ack: true) { |*message| messages << message }
  yield -> { Timeout.timeout(SECONDS) { messages.pop } }
ensure
  consumer&.cancel
end

class Application
  def initialize(url)
    @connection = Bunny.new(url, automatically_recover: false)
    @connection.start
    check(@connection.server_properties["capabilities"]["publisher_confirms"], "no confirms")
    ok "connect"
    @channel = @connection.create_channel
    @channel.confirm_select
  end

  def declare
    @dead_exchange = @channel.fanout("#{NAME}.dlx", auto_delete: true)
    @dead_queue = @channel.queue("#{NAME}.dead", durable: true, arguments: EXPIRES)
    @dead_queue.bind(@dead_exchange)
    @exchange = @channel.topic(NAME, durable: true, auto_delete: true)
    arguments = EXPIRES.merge(
      "x-max-length" => 100_000, "x-dead-letter-exchange" => @dead_exchange.name
    )
    @queue = @channel.queue("#{NAME}.work", durable: true, arguments: arguments)
    @queue.bind(@exchange, routing_key: "order.*.created")
    # On another channel, as Bunny remembers what it declared: nothing changes.
    @connection.with_channel do |other|
      other.queue(@queue.name, durable: true, arguments: arguments)
    end
    ok "declare an exchange, a durable queue with arguments and a binding"
  end

  def publish
    COUNT.times do |n|
      @exchange.publish(
        "message #{n}", routing_key: "order.#{n}.created", persistent: true, message_id: n.to_s
      )
    end
    check(@channel.wait_for_confirms, "the broker refused a message")
    ok "publish #{COUNT} messages with publisher confirms"
  end

  def consume
    @channel.prefetch(PREFETCH)
    with_inbox(@queue) do |take|
      held = Array.new(PREFETCH) { take.call }
      ready = ready_count
      check(ready == COUNT - PREFETCH, "#{ready} ready with #{PREFETCH} unacked")
      ok "hold #{PREFETCH} unacked under a prefetch of #{PREFETCH}, #{ready} stay ready"
      COUNT.times do |n|
        delivery, properties, body = held.shift || take.call
        check(body == "message #{n}", [n, body])
        check(delivery.routing_key == "order.#{n}.created", delivery)
        check([delivery.exchange, delivery.redelivered?] == [NAME, false], delivery)
        check([properties.message_id, properties.delivery_mode] == [n.to_s, 2], properties)
        @channel.ack(delivery.delivery_tag)
      end
    end
    ok "consume #{COUNT} messages in order with acks"
  end

  def ready_count
    count = nil
    @connection.with_channel do |other|
      count = other.queue(@queue.name, passive: true).message_count
    end
    count
  end

  def dead_letter
    @exchange.publish("bad", routing_key: "order.bad.created")
    with_inbox(@queue) { |take| @channel.reject(take.call[0].delivery_tag, false) }
    delivery, properties, body = with_inbox(@dead_queue, &:call)
    check([body, delivery.routing_key] == ["bad", "order.bad.created"], [body, delivery])
    deaths = properties.headers["x-death"]
    check(deaths.length == 1 && deaths[0].delete("time").is_a?(Time), deaths)
    expected = {
      "count" => 1,
      "reason" => "rejected",
      "queue" => @queue.name,
      "exchange" => NAME,
      "routing-keys" => ["order.bad.created"]
    }
    check(deaths[0] == expected, deaths)
    firsts = properties.headers.values_at("x-first-death-exchange", "x-first-death-queue", "x-first-death-reason")
    check(firsts == [NAME, @queue.name, "rejected"], firsts)
    @channel.ack(delivery.delivery_tag)
    ok "reject into the dead letter queue with x-death"
  end

  def mandatory
    returned = Thread::Queue.new
    @exchange.on_return { |*message| returned << message }
    @exchange.publish("lost", routing_key: "nobody.listens", mandatory: true)
    # The return comes before the confirm, and the confirm is an ack.
    check(@channel.wait_for_confirms, "the broker refused the message")
    info, _properties, body = returned.pop(true)
    check([info.reply_code, info.reply_text] == [312, "NO_ROUTE"], info)
    check([info.exchange, info.routing_key, body] == [NAME, "nobody.listens", "lost"], info)
    ok "return a mandatory message that has no queue"
  end

  def get
    %w[first second].each { |body| publish_to_queue(body) }
    delivery, _properties, body = @queue.pop(manual_ack: true)
    check([body, delivery.routing_key, ready_count] == ["first", @queue.name, 1], delivery)
    @channel.ack(delivery.delivery_tag)
    check(@queue.pop[2] == "second", "the second message")
    check(@queue.pop == [nil, nil, nil], "the queue is not empty")
    ok "get one message, then find the queue empty"
  end

  def publish_to_queue(body, options = {})
    @channel.default_exchange.publish(body, options.merge(routing_key: @queue.name))
    check(@channel.wait_for_confirms, "the broker refused a message")
  end

  def miss_queue
    missing = "#{NAME}.missing"
    begin
      @connection.create_channel.queue(missing, passive: true)
      raise "there is such a queue"
    rescue Bunny::NotFound => error
      close = error.channel_close
      check(close.reply_code == 404, close)
      check(close.reply_text.start_with?("NOT_FOUND - no queue '#{missing}' in vhost '"), close)
    end
    check(ready_count.zero?, "the connection does not go on")
    ok "miss a queue with 404 and go on with the connection"
  end

  def headers
    sent = {
      "text" => "h\u00e9llo",
      "empty" => "",
      "small" => 7,
      "negative" => -40_000,
      "large" => (2**62) + 1,
      "yes" => true,
      "no" => false,
      "ratio" => 0.1,
      "when" => Time.utc(2024, 2, 29, 12, 30, 15),
      "nothing" => nil,
      "list" => [1, "two", [3.5, "half"], { "four" => 4 }],
      "table" => { "inner" => { "deep" => "yes" }, "n" => 1 }
    }
    properties = {
      content_type: "text/plain",
      content_encoding: "utf-8",
      priority: 3,
      correlation_id: "correlation",
      reply_to: "reply",
      expiration: "60000",
      message_id: "message",
      timestamp: 1_700_000_000,
      type: "type",
      user_id: @connection.user,
      app_id: "application"
    }
    publish_to_queue("", properties.merge(headers: sent))
    _delivery, received, body = @queue.pop
    # Bunny hands strings over as bytes.
    received.headers["text"].force_encoding("UTF-8")
    check(received.headers == sent, received.headers)
    # It takes a timestamp as a number and hands it over as a Time.
    expected = properties.merge(timestamp: Time.at(properties[:timestamp]))
    check(received.to_h.slice(*properties.keys) == expected, received.to_h)
    check(body.empty?, body)
    ok "round-trip headers of several types"
  end

  def large_body
    body = Random.bytes(1024 * 1024)
    publish_to_queue(body)
    with_inbox(@queue) do |take|
      delivery, _properties, received = take.call
      check(received == body, "#{received.bytesize} other bytes")
      @channel.ack(delivery.delivery_tag)
    end
    ok "round-trip a body of 1 MiB"
  end

  def purge_and_delete
    %w[one two three].each { |body| publish_to_queue(body) }
    check(@channel.queue_purge(@queue.name).message_count == 3, "purged another number than 3")
    publish_to_queue("four")
    check(ready_count == 1, "one message after the purge")
    check(@queue.delete.message_count == 1, "deleted another number than 1")
    @dead_queue.delete
    # They went with their last binding; deleting what is not there is no error.
    @exchange.delete
    @dead_exchange.delete
    ok "purge and delete"
  end

  def close
    @connection.close
    check(@connection.closed?, "the connection is open")
    ok "close"
  end
end

application = Application.new(ARGV.fetch(0))
application.declare
application.publish
application.consume
application.dead_letter
application.mandatory
application.get
application.miss_queue
application.headers
application.large_body
application.purge_and_delete
application.close
