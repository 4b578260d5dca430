// What an application does with amqp091-go, the usual Go client: a line for each thing that works.
//
//	GO111MODULE=off GOPATH=/usr/share/gocode go run amqp091-go-client.go amqp://guest:guest@127.0.0.1:5672
//
// Panics (exit code 2) at the first thing that does not. Queues expire by themselves and
// exchanges are auto-delete, so a failed run leaves nothing behind for long.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"net/url"
	"os"
	"reflect"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	count    = 1000
	prefetch = 50
	// How long to wait for what the broker owes.
	patience = 5 * time.Second
	expires  = int32(60_000)
)

func check(condition bool, detail ...any) {
	if !condition {
		log.Panicln(append([]any{"unexpected:"}, detail...)...)
	}
}

func same(actual, expected any) {
	if !reflect.DeepEqual(actual, expected) {
		log.Panicf("expected %#v, got %#v", expected, actual)
	}
}

func try(err error) {
	if err != nil {
		log.Panicln(err)
	}
}

func must[T any](value T, err error) T {
	try(err)
	return value
}

func ok(format string, arguments ...any) {
	fmt.Printf("ok: "+format+"\n", arguments...)
}

func next[T any](messages <-chan T) T {
	select {
	case message, open := <-messages:
		check(open, "the channel is closed")
		return message
	case <-time.After(patience):
		panic("waited in vain")
	}
}

type application struct {
	user         string
	connection   *amqp.Connection
	channel      *amqp.Channel
	confirms     <-chan amqp.Confirmation
	exchange     string
	queue        string
	deadExchange string
	deadQueue    string
}

func connect(address string) *application {
	random := make([]byte, 6)
	must(rand.Read(random))
	name := fmt.Sprintf("interop-go-%x", random)
	connection := must(amqp.Dial(address))
	ok("connect")
	return &application{
		user:         must(url.Parse(address)).User.Username(),
		connection:   connection,
		channel:      must(connection.Channel()),
		exchange:     name,
		queue:        name + ".work",
		deadExchange: name + ".dlx",
		deadQueue:    name + ".dead",
	}
}

func (a *application) declare() {
	channel := a.channel
	try(channel.ExchangeDeclare(a.deadExchange, "fanout", false, true, false, false, nil))
	must(channel.QueueDeclare(a.deadQueue, true, false, false, false, amqp.Table{"x-expires": expires}))
	try(channel.QueueBind(a.deadQueue, "", a.deadExchange, false, nil))
	try(channel.ExchangeDeclare(a.exchange, "topic", true, true, false, false, nil))
	arguments := amqp.Table{
		"x-expires":              expires,
		"x-max-length":           int64(100_000),
		"x-dead-letter-exchange": a.deadExchange,
	}
	for round := 0; round < 2; round++ { // The second time nothing changes.
		declared := must(channel.QueueDeclare(a.queue, true, false, false, false, arguments))
		same(declared, amqp.Queue{Name: a.queue})
	}
	try(channel.QueueBind(a.queue, "order.*.created", a.exchange, false, nil))
	ok("declare an exchange, a durable queue with arguments and a binding")
}

// send publishes a message; whether the broker took it comes through confirms. Not through the library's
// DeferredConfirmation: in its version 1.5 that one waits for ever when the broker is quicker than the return from
// the publishing.
func (a *application) send(exchange, key string, mandatory bool, message amqp.Publishing) {
	try(a.channel.PublishWithContext(context.Background(), exchange, key, mandatory, false, message))
}

func (a *application) awaitConfirms(n int) {
	for ; n > 0; n-- {
		confirmation := next(a.confirms)
		check(confirmation.Ack, "the broker refused a message", confirmation)
	}
}

func (a *application) sendToQueue(message amqp.Publishing) {
	a.send("", a.queue, false, message)
	a.awaitConfirms(1)
}

func text(body string) amqp.Publishing {
	return amqp.Publishing{Body: []byte(body)}
}

func (a *application) publish() {
	try(a.channel.Confirm(false))
	a.confirms = a.channel.NotifyPublish(make(chan amqp.Confirmation, count))
	for n := 0; n < count; n++ {
		message := text(fmt.Sprint("message ", n))
		message.DeliveryMode = amqp.Persistent
		message.MessageId = fmt.Sprint(n)
		key := fmt.Sprintf("order.%d.created", n)
		a.send(a.exchange, key, false, message)
	}
	a.awaitConfirms(count)
	ok("publish %d messages with publisher confirms", count)
}

func (a *application) subscribe(queue string) <-chan amqp.Delivery {
	return must(a.channel.Consume(queue, "consumer", false, false, false, false, nil))
}

func (a *application) unsubscribe() {
	try(a.channel.Cancel("consumer", false))
}

func (a *application) readyCount() int {
	channel := must(a.connection.Channel())
	defer channel.Close()
	return must(channel.QueueDeclarePassive(a.queue, true, false, false, false, nil)).Messages
}

func (a *application) consume() {
	try(a.channel.Qos(prefetch, 0, false))
	deliveries := a.subscribe(a.queue)
	var held []amqp.Delivery
	for len(held) < prefetch {
		held = append(held, next(deliveries))
	}
	ready := a.readyCount()
	same(ready, count-prefetch)
	ok("hold %d unacked under a prefetch of %d, %d stay ready", prefetch, prefetch, ready)
	for n := 0; n < count; n++ {
		var message amqp.Delivery
		if n < prefetch {
			message = held[n]
		} else {
			message = next(deliveries)
		}
		same(string(message.Body), fmt.Sprint("message ", n))
		same(message.RoutingKey, fmt.Sprintf("order.%d.created", n))
		same(message.MessageId, fmt.Sprint(n))
		check(message.Exchange == a.exchange && !message.Redelivered, message)
		check(message.DeliveryMode == amqp.Persistent, message)
		try(message.Ack(false))
	}
	a.unsubscribe()
	ok("consume %d messages in order with acks", count)
}

func (a *application) deadLetter() {
	a.send(a.exchange, "order.bad.created", false, text("bad"))
	a.awaitConfirms(1)
	rejected := next(a.subscribe(a.queue))
	try(rejected.Reject(false))
	a.unsubscribe()
	message := next(a.subscribe(a.deadQueue))
	a.unsubscribe()
	same(string(message.Body), "bad")
	same(message.RoutingKey, "order.bad.created")
	deaths := message.Headers["x-death"].([]any)
	check(len(deaths) == 1, deaths)
	death := deaths[0].(amqp.Table)
	_, timed := death["time"].(time.Time)
	check(timed, death)
	delete(death, "time")
	same(death, amqp.Table{
		"count":        int64(1),
		"reason":       "rejected",
		"queue":        a.queue,
		"exchange":     a.exchange,
		"routing-keys": []any{"order.bad.created"},
	})
	same(message.Headers["x-first-death-exchange"], a.exchange)
	same(message.Headers["x-first-death-queue"], a.queue)
	same(message.Headers["x-first-death-reason"], "rejected")
	try(message.Ack(false))
	ok("reject into the dead letter queue with x-death")
}

func (a *application) mandatory() {
	returns := a.channel.NotifyReturn(make(chan amqp.Return, 1))
	a.send(a.exchange, "nobody.listens", true, text("lost"))
	// The return comes before the confirm, and the confirm is an ack.
	a.awaitConfirms(1)
	check(len(returns) == 1, "no return before the confirm")
	returned := <-returns
	check(returned.ReplyCode == 312 && returned.ReplyText == "NO_ROUTE", returned)
	check(returned.Exchange == a.exchange && returned.RoutingKey == "nobody.listens", returned)
	same(string(returned.Body), "lost")
	ok("return a mandatory message that has no queue")
}

func (a *application) get() {
	a.sendToQueue(text("first"))
	a.sendToQueue(text("second"))
	message, found, err := a.channel.Get(a.queue, false)
	try(err)
	check(found && string(message.Body) == "first" && message.MessageCount == 1, message)
	try(message.Ack(false))
	message, found, err = a.channel.Get(a.queue, true)
	try(err)
	check(found && string(message.Body) == "second", message)
	_, found, err = a.channel.Get(a.queue, false)
	try(err)
	check(!found, "the queue is not empty")
	ok("get one message, then find the queue empty")
}

func (a *application) missQueue() {
	missing := a.exchange + ".missing"
	channel := must(a.connection.Channel())
	_, err := channel.QueueDeclarePassive(missing, true, false, false, false, nil)
	var refusal *amqp.Error
	check(errors.As(err, &refusal), err)
	same(refusal.Code, amqp.NotFound)
	check(strings.HasPrefix(refusal.Reason, "NOT_FOUND - no queue '"+missing+"' in vhost '"), refusal)
	same(a.readyCount(), 0)
	ok("miss a queue with 404 and go on with the connection")
}

func (a *application) headers() {
	sent := amqp.Table{
		"text":         "héllo ✓",
		"empty":        "",
		"bytes":        []byte{0, 255, 16},
		"signed byte":  int8(-7),
		"byte":         byte(200),
		"short":        int16(-300),
		"int":          int32(-40_000),
		"long":         int64(1<<62 + 1),
		"yes":          true,
		"no":           false,
		"single float": float32(0.5),
		"double float": 0.1,
		"price":        amqp.Decimal{Scale: 2, Value: 1234},
		"when":         time.Date(2024, 2, 29, 12, 30, 15, 0, time.UTC).Local(),
		"nothing":      nil,
		"list":         []any{int32(1), "two", []any{3.5, nil}, amqp.Table{"four": int32(4)}},
		"table":        amqp.Table{"inner": amqp.Table{"deep": "yes"}, "n": int32(1)},
	}
	published := amqp.Publishing{
		ContentType:     "text/plain",
		ContentEncoding: "utf-8",
		Headers:         sent,
		DeliveryMode:    amqp.Transient,
		Priority:        3,
		CorrelationId:   "correlation",
		ReplyTo:         "reply",
		Expiration:      "60000",
		MessageId:       "message",
		Timestamp:       time.Unix(1_700_000_000, 0),
		Type:            "type",
		UserId:          a.user,
		AppId:           "application",
		Body:            []byte{},
	}
	a.sendToQueue(published)
	message, found, err := a.channel.Get(a.queue, true)
	try(err)
	check(found, "the queue is empty")
	same(message.Headers, sent)
	same(amqp.Publishing{
		ContentType:     message.ContentType,
		ContentEncoding: message.ContentEncoding,
		Headers:         message.Headers,
		DeliveryMode:    message.DeliveryMode,
		Priority:        message.Priority,
		CorrelationId:   message.CorrelationId,
		ReplyTo:         message.ReplyTo,
		Expiration:      message.Expiration,
		MessageId:       message.MessageId,
		Timestamp:       message.Timestamp,
		Type:            message.Type,
		UserId:          message.UserId,
		AppId:           message.AppId,
		Body:            append([]byte{}, message.Body...),
	}, published)
	ok("round-trip headers of several types")
}

func (a *application) largeBody() {
	body := make([]byte, 1024*1024)
	must(rand.Read(body))
	a.sendToQueue(amqp.Publishing{Body: body})
	message := next(a.subscribe(a.queue))
	check(bytes.Equal(message.Body, body), len(message.Body), "other bytes")
	try(message.Ack(false))
	a.unsubscribe()
	ok("round-trip a body of 1 MiB")
}

func (a *application) purgeAndDelete() {
	for _, body := range []string{"one", "two", "three"} {
		a.sendToQueue(text(body))
	}
	same(must(a.channel.QueuePurge(a.queue, false)), 3)
	a.sendToQueue(text("four"))
	same(a.readyCount(), 1)
	same(must(a.channel.QueueDelete(a.queue, false, false, false)), 1)
	must(a.channel.QueueDelete(a.deadQueue, false, false, false))
	// They went with their last binding; deleting what is not there is no error.
	try(a.channel.ExchangeDelete(a.exchange, false, false))
	try(a.channel.ExchangeDelete(a.deadExchange, false, false))
	ok("purge and delete")
}

func (a *application) close() {
	try(a.connection.Close())
	check(a.connection.IsClosed(), "the connection is open")
	ok("close")
}

func main() {
	application := connect(os.Args[1])
	application.declare()
	application.publish()
	application.consume()
	application.deadLetter()
	application.mandatory()
	application.get()
	application.missQueue()
	application.headers()
	application.largeBody()
	application.purgeAndDelete()
	application.close()
}
