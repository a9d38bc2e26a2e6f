// Jobs of River whose worker publishes to Kafka: an outbox made of a job queue, since River itself talks to no broker.
//
// Usage: peer fill|relay, with BENCH_DATABASE, BENCH_KAFKA and BENCH_TOPIC set.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/twmb/franz-go/pkg/kgo"
)

const together = 100

var logger = slog.New(slog.DiscardHandler)

// Event is a job; the payload is text, because jsonb would write its members in another order.
type Event struct {
	Account string `json:"account"`
	Payload string `json:"payload"`
}

func (Event) Kind() string { return "event" }

type publisher struct {
	river.WorkerDefaults[Event]
	kafka *kgo.Client
}

func (p *publisher) Work(ctx context.Context, job *river.Job[Event]) error {
	record := &kgo.Record{Key: []byte(job.Args.Account), Value: []byte(job.Args.Payload)}
	return p.kafka.ProduceSync(ctx, record).FirstErr()
}

func fill(ctx context.Context, pool *pgxpool.Pool) error {
	driver := riverpgxv5.New(pool)
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: logger})
	if err != nil {
		return err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return err
	}
	client, err := river.NewClient(driver, &river.Config{Logger: logger})
	if err != nil {
		return err
	}
	rows, err := pool.Query(ctx, "SELECT account, payload FROM bench_source ORDER BY number")
	if err != nil {
		return err
	}
	events, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Event])
	if err != nil {
		return err
	}
	for len(events) > 0 {
		count := min(together, len(events))
		var jobs []river.InsertManyParams
		for _, event := range events[:count] {
			jobs = append(jobs, river.InsertManyParams{Args: event})
		}
		tx, err := pool.Begin(ctx)
		if err != nil {
			return err
		}
		if _, err := client.InsertManyFastTx(ctx, tx, jobs); err != nil {
			return err
		}
		if err := tx.Commit(ctx); err != nil {
			return err
		}
		events = events[count:]
	}
	return nil
}

func relay(ctx context.Context, pool *pgxpool.Pool) error {
	kafka, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(os.Getenv("BENCH_KAFKA"), ",")...),
		kgo.DefaultProduceTopic(os.Getenv("BENCH_TOPIC")),
		kgo.ProducerLinger(0),
	)
	if err != nil {
		return err
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, &publisher{kafka: kafka})
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		FetchCooldown:     10 * time.Millisecond,
		FetchPollInterval: 50 * time.Millisecond,
		// Jobs of a process that died are taken again after these, by default after an hour.
		JobTimeout:           5 * time.Second,
		RescueStuckJobsAfter: 5 * time.Second,
		Logger:               logger,
		Queues:               map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 1000}},
		Workers:              workers,
	})
	if err != nil {
		return err
	}
	if err := client.Start(ctx); err != nil {
		return err
	}
	<-client.Stopped()
	return nil
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
