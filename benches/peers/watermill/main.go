// An outbox of Watermill's SQL publisher that its forwarder moves to Kafka, and a router that consumes from there.
//
// Usage: peer fill|relay|consume, with BENCH_DATABASE, BENCH_KAFKA, BENCH_TOPIC and BENCH_GROUP set.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill-sql/v4/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/components/forwarder"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	outboxTopic = "outbox"
	together    = 100
)

var (
	logger = watermill.NopLogger{}
	schema = sql.DefaultPostgreSQLSchema{SubscribeBatchSize: 1000}
)

func fill(ctx context.Context, pool *pgxpool.Pool) error {
	// Its tables are made outside of the transactions.
	reader, err := subscriber(pool)
	if err != nil {
		return err
	}
	if err := reader.SubscribeInitialize(outboxTopic); err != nil {
		return err
	}
	rows, err := pool.Query(ctx, "SELECT account, payload FROM bench_source ORDER BY number")
	if err != nil {
		return err
	}
	var messages message.Messages
	for rows.Next() {
		var account, payload string
		if err := rows.Scan(&account, &payload); err != nil {
			return err
		}
		made := message.NewMessage(watermill.NewUUID(), message.Payload(payload))
		made.Metadata.Set("account", account)
		messages = append(messages, made)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for len(messages) > 0 {
		count := min(together, len(messages))
		tx, err := pool.Begin(ctx)
		if err != nil {
			return err
		}
		inner, err := sql.NewPublisher(sql.TxFromPgx(tx), sql.PublisherConfig{SchemaAdapter: schema}, logger)
		if err != nil {
			return err
		}
		publisher := forwarder.NewPublisher(inner, forwarder.PublisherConfig{ForwarderTopic: outboxTopic})
		if err := publisher.Publish(os.Getenv("BENCH_TOPIC"), messages[:count]...); err != nil {
			return err
		}
		if err := tx.Commit(ctx); err != nil {
			return err
		}
		messages = messages[count:]
	}
	return nil
}

func subscriber(pool *pgxpool.Pool) (*sql.Subscriber, error) {
	return sql.NewSubscriber(sql.BeginnerFromPgx(pool), sql.SubscriberConfig{
		SchemaAdapter:    schema,
		OffsetsAdapter:   sql.DefaultPostgreSQLOffsetsAdapter{},
		PollInterval:     10 * time.Millisecond,
		InitializeSchema: true,
	}, logger)
}

func relay(ctx context.Context, pool *pgxpool.Pool) error {
	from, err := subscriber(pool)
	if err != nil {
		return err
	}
	byAccount := func(_ string, made *message.Message) (string, error) { return made.Metadata.Get("account"), nil }
	config := kafka.PublisherConfig{
		Brokers:   strings.Split(os.Getenv("BENCH_KAFKA"), ","),
		Marshaler: kafka.NewWithPartitioningMarshaler(byAccount),
	}
	to, err := kafka.NewPublisher(config, logger)
	if err != nil {
		return err
	}
	forwards, err := forwarder.NewForwarder(from, to, logger, forwarder.Config{ForwarderTopic: outboxTopic})
	if err != nil {
		return err
	}
	return forwards.Run(ctx)
}

// consume has a router apply each message once: what it has seen and the effect share a transaction.
func consume(ctx context.Context, pool *pgxpool.Pool) error {
	config := kafka.DefaultSaramaSubscriberConfig()
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	from, err := kafka.NewSubscriber(kafka.SubscriberConfig{
		Brokers:               strings.Split(os.Getenv("BENCH_KAFKA"), ","),
		Unmarshaler:           kafka.DefaultMarshaler{},
		OverwriteSaramaConfig: config,
		ConsumerGroup:         os.Getenv("BENCH_GROUP"),
		NackResendSleep:       time.Millisecond,
	}, logger)
	if err != nil {
		return err
	}
	router, err := message.NewRouter(message.RouterConfig{}, logger)
	if err != nil {
		return err
	}
	router.AddNoPublisherHandler("bench", os.Getenv("BENCH_TOPIC"), from, func(arrived *message.Message) error {
		return apply(ctx, pool, arrived)
	})
	return router.Run(ctx)
}

func apply(ctx context.Context, pool *pgxpool.Pool, arrived *message.Message) error {
	var event struct {
		Account string
		Number  int64
	}
	if err := json.Unmarshal(arrived.Payload, &event); err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		id := arrived.Metadata.Get("id")
		seen, err := tx.Exec(ctx, "INSERT INTO seen (id) VALUES ($1) ON CONFLICT DO NOTHING", id)
		if err != nil || seen.RowsAffected() == 0 {
			return err
		}
		_, err = tx.Exec(ctx, "INSERT INTO effects (account, number) VALUES ($1, $2)", event.Account, event.Number)
		return err
	})
}

func main() {
	// A consumer that is asked to end leaves its group.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	pool, err := pgxpool.New(ctx, os.Getenv("BENCH_DATABASE"))
	work := map[string]func(context.Context, *pgxpool.Pool) error{"fill": fill, "relay": relay, "consume": consume}
	if err == nil {
		err = work[os.Args[1]](ctx, pool)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
