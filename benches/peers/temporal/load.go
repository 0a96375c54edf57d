package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// The outcomes of an order.
const (
	completed   = "completed"
	compensated = "compensated"
)

// How long orders that are in flight at the end may take.
const drainLimit = 300 * time.Second

// Plan of a load: the same for each peer (load.mjs).
type Plan struct {
	InFlight      int     `json:"inFlight"`
	Refused       bool    `json:"refused"`
	WarmUpSeconds float64 `json:"warmUpSeconds"`
	Seconds       float64 `json:"seconds"`
	LimitSeconds  float64 `json:"limitSeconds"`
}

// Orders of a run, and the times of those that ended in the measured time.
type orders struct {
	plan     Plan
	run      string
	next     atomic.Int64
	ended    atomic.Int64
	stopping atomic.Bool

	lock      sync.Mutex
	measuring bool
	times     []time.Duration
}

// Keeps a number of orders in flight, and reports the outcomes of the measured time. The events are lines of JSON on the standard
// output; run.py reads the CPU of the processes at `warm` and at `measured`.
func measure(plan Plan, place func(context.Context, Order) (string, error)) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	load := &orders{plan: plan, run: strconv.FormatInt(time.Now().UnixMilli(), 36)}
	var group sync.WaitGroup
	for range plan.InFlight {
		group.Go(func() { load.keepOneInFlight(ctx, place) })
	}

	load.turn(plan.WarmUpSeconds)
	began := time.Now()
	load.measure(true)
	send(map[string]any{"event": "warm"})
	load.turn(plan.Seconds)
	times := load.measure(false)
	took := time.Since(began)
	send(map[string]any{"event": "measured"})

	load.stopping.Store(true)
	late := time.AfterFunc(drainLimit, func() { fail(fmt.Errorf("orders have no outcome after %v", drainLimit)) })
	group.Wait()
	late.Stop()
	send(summarize(times, took))
	return nil
}

func (load *orders) keepOneInFlight(ctx context.Context, place func(context.Context, Order) (string, error)) {
	wanted := completed
	if load.plan.Refused {
		wanted = compensated
	}
	for !load.stopping.Load() {
		number := load.next.Add(1)
		order := Order{
			OrderID: fmt.Sprintf("%s-%d", load.run, number),
			Amount:  100 + int(number%900),
			Refused: load.plan.Refused,
		}
		began := time.Now()
		outcome, err := place(ctx, order)
		if err != nil {
			fail(err)
		}
		if outcome != wanted {
			fail(fmt.Errorf("order %s is %s, but must be %s", order.OrderID, outcome, wanted))
		}
		load.record(time.Since(began))
	}
}

// So many seconds, and until the next full turn: as many orders have ended as are in flight, or a multiple of it. Orders that started
// together may end together, and a time that ends in between would count a turn too few or too many.
func (load *orders) turn(least float64) {
	began, before := time.Now(), load.ended.Load()
	turns := func() int64 { return (load.ended.Load() - before) / int64(load.plan.InFlight) }
	time.Sleep(seconds(least))
	past := turns()
	for turns() == past && time.Since(began) < seconds(load.plan.LimitSeconds) {
		time.Sleep(5 * time.Millisecond)
	}
}

func (load *orders) record(took time.Duration) {
	load.ended.Add(1)
	load.lock.Lock()
	defer load.lock.Unlock()
	if load.measuring {
		load.times = append(load.times, took)
	}
}

// Begins or ends to measure, and returns the times until then.
func (load *orders) measure(measuring bool) []time.Duration {
	load.lock.Lock()
	defer load.lock.Unlock()
	load.measuring = measuring
	return load.times
}

func summarize(times []time.Duration, took time.Duration) map[string]any {
	slices.Sort(times)
	percentile := func(percent int) float64 {
		if len(times) == 0 {
			return 0
		}
		rank := max(1, (len(times)*percent+99)/100)
		return times[rank-1].Seconds() * 1_000
	}
	return map[string]any{
		"event": "result", "sagas": len(times), "seconds": took.Seconds(), "p50_ms": percentile(50), "p99_ms": percentile(99),
	}
}

func seconds(count float64) time.Duration { return time.Duration(count * float64(time.Second)) }

func send(event map[string]any) {
	if err := json.NewEncoder(os.Stdout).Encode(event); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
