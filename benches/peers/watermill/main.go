// An outbox of Watermill's SQL publisher that its forwarder moves to Kafka.
//
// Usage: peer fill|relay, with BENCH_DATABASE, BENCH_KAFKA and BENCH_TOPIC set.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill-sql/v4/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/components/forwarder"
	"github.com/ThreeDotsLabs/watermill/message"
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

func main() {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, os.Getenv("BENCH_DATABASE"))
	if err == nil && len(os.Args) == 2 && os.Args[1] == "fill" {
		err = fill(ctx, pool)
	} else if err == nil {
		err = relay(ctx, pool)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
